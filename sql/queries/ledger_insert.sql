-- unnest() in the select list: in step, value by value. In FROM each array would be put into
-- a tuple store of its own first, which costs more than the insert.
-- $1 int[] streams, $2 bigint[] offsets, $3 timestamptz[] record times,
-- $4 timestamptz[] event times, $5 text[] verdicts, $6 bytea[] hashes, $7 text[] sources,
-- $8 text[] ids, $9 text[] tenants, $10 text[] types, $11 text[] subjects,
-- $12 text[] actors, $13 text[] correlationids, $14 text[] causationids,
-- $15 text[] traceparents, $16 text[] reasons, $17 bytea[] keys,
-- $18 bytea[] packed headers, $19 bytea[] values
INSERT INTO busline.ledger (stream, "offset", record_time, "time", verdict, hash, source, id,
	tenant, type, subject, actor, correlationid, causationid, traceparent, reason, key,
	headers, data)
SELECT unnest($1::int[]), unnest($2::bigint[]), unnest($3::timestamptz[]),
       unnest($4::timestamptz[]), unnest($5::text[])::busline.verdict, unnest($6::bytea[]),
       unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]),
       unnest($11::text[]), unnest($12::text[]), unnest($13::text[]), unnest($14::text[]),
       unnest($15::text[]), unnest($16::text[]), unnest($17::bytea[]), unnest($18::bytea[]),
       unnest($19::bytea[])
