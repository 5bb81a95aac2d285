-- $1 int[] streams
SELECT stream, partition, epoch, next_offset, outbox_seq, head, idle_assignments
  FROM busline.position WHERE stream = ANY ($1::int[])
