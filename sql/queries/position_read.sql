-- $1 int[] streams
SELECT stream, partition, epoch, next_offset, outbox_seq, head, idle_assignments,
       coalesce((SELECT a."offset" FROM busline.attempt a WHERE a.stream = p.stream), -1)
  FROM busline.position p WHERE stream = ANY ($1::int[])
