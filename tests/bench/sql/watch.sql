-- $1 text topic
SELECT partition, next_offset FROM busline.position WHERE topic = $1::text
