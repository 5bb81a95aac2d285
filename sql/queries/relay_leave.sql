-- $1 text holder
SELECT busline.relay_leave($1::text)
