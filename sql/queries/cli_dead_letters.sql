-- Dead letters, the newest first: $1::text tenant or NULL, $2::text cause or NULL,
-- $3::bigint at most so many.
SELECT p.topic, p.partition, d."offset", d.cause, d.tenant, d.subject, d.type, d.id,
       to_char(d.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS recorded_at, d.detail
  FROM busline.dead_letter d
  JOIN busline.position p USING (stream)
 WHERE ($1::text IS NULL OR d.tenant = $1::text) AND ($2::text IS NULL OR d.cause = $2::text)
 ORDER BY d.recorded_at DESC, p.topic, p.partition, d."offset" DESC
 LIMIT $3::bigint
