-- $1 text channel
SELECT busline.listen($1::text)
