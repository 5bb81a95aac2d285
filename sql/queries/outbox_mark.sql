-- Does not wait for the disk: a mark that a crash loses means rows published again, and workers
-- know those by their ids. A later commit that empties a table, or gives a shard up, takes the
-- mark to disk with it.
-- $1 int[] streams, $2 bigint[] numbers, $3 bigint[] epochs of their shards
SELECT set_config('synchronous_commit', 'off', true),
       busline.outbox_mark_set($1::int[], $2::bigint[], $3::bigint[]) AS lost
