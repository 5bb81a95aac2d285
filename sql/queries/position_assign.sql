-- A new owner: the epoch grows. Locked in the order of streams, so that two workers that
-- take over from each other cannot deadlock.
-- $1 text topic, $2 int[] partitions
WITH locked AS MATERIALIZED (
	SELECT stream FROM busline.position
	 WHERE topic = $1::text AND partition = ANY ($2::int[])
	 ORDER BY stream FOR UPDATE
)
UPDATE busline.position p
   SET epoch = p.epoch + 1, idle_assignments = least(p.idle_assignments, 1000000) + 1,
       updated_at = now()
  FROM locked WHERE p.stream = locked.stream
RETURNING p.stream, p.partition, p.epoch, p.next_offset, p.outbox_seq, p.head,
	  p.idle_assignments,
	  coalesce((SELECT a."offset" FROM busline.attempt a WHERE a.stream = p.stream), -1)
