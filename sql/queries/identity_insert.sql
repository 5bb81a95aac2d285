-- Plain: a repeat must fail the unit (23505 on identity_pkey).
-- $1 int[] streams, $2 uuid[] keys, $3 bigint[] offsets, $4 bytea[] digests
INSERT INTO busline.identity (stream, key, "offset", digest)
SELECT * FROM unnest($1::int[], $2::uuid[], $3::bigint[], $4::bytea[])
