-- An owner that leaves in order: nothing has ended it.
-- $1 int[] streams, $2 bigint[] epochs
UPDATE busline.position p
   SET idle_assignments = 0
  FROM unnest($1::int[], $2::bigint[]) AS w (stream, epoch)
 WHERE p.stream = w.stream AND p.epoch = w.epoch AND p.idle_assignments > 0
