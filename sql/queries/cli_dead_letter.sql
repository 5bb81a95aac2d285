-- One dead letter whole: $1::text topic, $2::int partition, $3::bigint offset.
SELECT p.topic, p.partition, d."offset", d.cause, d.detail,
       to_char(d.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS recorded_at, d.tenant, d.subject,
       d.type, d.source, d.id, d.key, d.headers, d.data
  FROM busline.dead_letter d
  JOIN busline.position p USING (stream)
 WHERE p.topic = $1::text AND p.partition = $2::int AND d."offset" = $3::bigint
