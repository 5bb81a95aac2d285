-- Dead letters by cause: $1::text tenant or NULL, $2::text cause or NULL, $3::text topic or
-- NULL, $4::text state or NULL.
SELECT d.cause, count(*) AS count,
       count(DISTINCT (d.stream, d.tenant, coalesce(d.subject, ''))) AS keys,
       to_char(min(d.recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS first,
       to_char(max(d.recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS last,
       (array_agg(p.topic || '/' || p.partition || '@' || d."offset"
		  ORDER BY d.recorded_at DESC))[1] AS example
  FROM busline.dead_letter d
  JOIN busline.position p USING (stream)
 WHERE ($1::text IS NULL OR d.tenant = $1::text) AND ($2::text IS NULL OR d.cause = $2::text)
   AND ($3::text IS NULL OR p.topic = $3::text) AND ($4::text IS NULL OR d.state = $4::text)
 GROUP BY d.cause
 ORDER BY count(*) DESC, d.cause
