-- Plain: a repeat must fail the unit (23505 on identity_pkey). unnest() as in ledger_insert.
-- $1 int[] streams, $2 uuid[] keys, $3 bigint[] offsets, $4 bytea[] digests
INSERT INTO busline.identity (stream, key, "offset", digest)
SELECT unnest($1::int[]), unnest($2::uuid[]), unnest($3::bigint[]), unnest($4::bytea[])
