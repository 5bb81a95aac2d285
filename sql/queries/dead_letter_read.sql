-- One dead letter: $1 int stream, $2 bigint offset. Columns as in quarantine_letters.
SELECT "offset", cause, state, redrives::bigint, tenant, coalesce(subject, '') AS subject, key,
       headers, data, record_time, edited, NULL::bigint AS next
  FROM busline.dead_letter
 WHERE stream = $1::int AND "offset" = $2::bigint
