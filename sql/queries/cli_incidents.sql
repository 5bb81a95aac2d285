-- Incidents, the newest first: $1::boolean closed ones too.
-- tenant and subject: the key it is about, if it is about one.
SELECT id, kind, topic, partition, "offset", nullif(tenant, '') AS tenant,
       nullif(subject, '') AS subject, count,
       to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS opened_at,
       to_char(last_seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS last_seen_at,
       to_char(closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS closed_at,
       closed_by, close_reason, detail
  FROM busline.incident
 WHERE $1::boolean OR closed_at IS NULL
 ORDER BY incident.closed_at IS NOT NULL, incident.last_seen_at DESC, id DESC
