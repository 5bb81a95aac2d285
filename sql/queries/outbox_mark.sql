-- Does not wait for the disk: a mark that a crash loses means rows published again, and workers
-- know those by their ids. A later commit that empties a table takes the mark to disk with it.
-- $1 bigint epoch of the lease, $2 int[] streams, $3 bigint[] numbers
SELECT set_config('synchronous_commit', 'off', true),
       busline.outbox_mark_set($1::bigint, $2::int[], $3::bigint[])
