-- $1 bigint epoch of the lease, $2 int[] streams, $3 bigint[] numbers
SELECT busline.outbox_mark_set($1::bigint, $2::int[], $3::bigint[])
