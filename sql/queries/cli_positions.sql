-- Where the workers are; no parameters.
SELECT topic, partition, next_offset, epoch,
       to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS updated_at
  FROM busline.position
 ORDER BY topic, partition
