-- Incidents, the newest first: $1::boolean closed ones too.
SELECT id, kind, topic, partition, "offset", count, opened_at, last_seen_at, closed_at,
       closed_by, close_reason, detail
  FROM busline.incident
 WHERE $1::boolean OR closed_at IS NULL
 ORDER BY closed_at IS NOT NULL, last_seen_at DESC, id DESC
