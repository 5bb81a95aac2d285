-- Dead letters, the newest first: $1::text tenant or NULL, $2::text cause or NULL,
-- $3::text topic or NULL, $4::text state or NULL, $5::bigint at most so many.
SELECT p.topic, p.partition, d."offset", d.cause, d.state, d.tenant, d.subject, d.type, d.id,
       to_char(d.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS recorded_at, d.redrives, d.detail
  FROM busline.dead_letter d
  JOIN busline.position p USING (stream)
 WHERE ($1::text IS NULL OR d.tenant = $1::text) AND ($2::text IS NULL OR d.cause = $2::text)
   AND ($3::text IS NULL OR p.topic = $3::text) AND ($4::text IS NULL OR d.state = $4::text)
 ORDER BY d.recorded_at DESC, p.topic, p.partition, d."offset" DESC
 LIMIT $5::bigint
