-- $1 int[] streams, $2 bigint[] offsets, $3 text[] causes, $4 text[] details,
-- $5 text[] tenants, $6 text[] sources, $7 text[] ids, $8 text[] types, $9 text[] subjects,
-- $10 bytea[] keys, $11 bytea[] packed headers, $12 bytea[] values,
-- $13 timestamptz[] record times
INSERT INTO busline.dead_letter (stream, "offset", cause, detail, tenant, source, id, type,
	subject, key, headers, data, record_time)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
		     $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bytea[],
		     $12::bytea[], $13::timestamptz[])
