-- Dead letters by cause: $1::text tenant or NULL, $2::text cause or NULL.
SELECT d.cause, count(*) AS count, min(d.recorded_at) AS first, max(d.recorded_at) AS last,
       (array_agg(p.topic || '/' || p.partition || '@' || d."offset"
		  ORDER BY d.recorded_at DESC))[1] AS example
  FROM busline.dead_letter d
  JOIN busline.position p USING (stream)
 WHERE ($1::text IS NULL OR d.tenant = $1::text) AND ($2::text IS NULL OR d.cause = $2::text)
 GROUP BY d.cause
 ORDER BY count(*) DESC, d.cause
