-- Ends the transactions of workers that hold these positions and were replaced.
-- $1 text topic, $2 int[] partitions
SELECT busline.position_evict($1::text, $2::int[])
