-- $1 int[] streams, $2 bigint[] epochs, $3 bigint[] expected offsets,
-- $4 bigint[] next offsets, $5 bigint[] last outbox numbers, $6 bytea[] heads
SELECT busline.fence($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
		     $6::bytea[])
