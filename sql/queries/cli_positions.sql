-- Where the workers are; no parameters.
SELECT topic, partition, next_offset, epoch, updated_at
  FROM busline.position
 ORDER BY topic, partition
