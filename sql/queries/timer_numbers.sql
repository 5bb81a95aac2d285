-- Every timer there is: what the clock may forget is not among them. No parameters.
SELECT number FROM busline.timer ORDER BY number
