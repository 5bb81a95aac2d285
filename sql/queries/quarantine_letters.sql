-- What waits for a key, in the order of the log: at most so many, and beyond the first one no
-- more than so many bytes. $1 int stream, $2 text tenant, $3 text subject or '', $4 bigint
-- rows, $5 bigint bytes
SELECT "offset", cause, state, redrives::bigint, tenant, subject, key, headers, data,
       record_time, edited, next
  FROM (SELECT d."offset", d.cause, d.state, d.redrives, d.tenant,
	       coalesce(d.subject, '') AS subject, d.key, d.headers, d.data, d.record_time,
	       d.edited, row_number() OVER w AS place, lead(d."offset") OVER w AS next,
	       sum(coalesce(octet_length(d.data), 0) + octet_length(d.headers)) OVER w AS bytes
	  FROM busline.dead_letter d
	 WHERE d.stream = $1::int AND d.tenant = $2::text
	   AND coalesce(d.subject, '') = $3::text AND d.state = 'open'
	   AND d.cause IN ('transient', 'held')
	WINDOW w AS (ORDER BY d."offset")
	 ORDER BY d."offset"
	 LIMIT $4::bigint) few
 WHERE place = 1 OR bytes <= $5::bigint
 ORDER BY "offset"
