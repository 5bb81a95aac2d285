-- $1 int[] streams, $2 bigint[] offsets, $3 timestamptz[] record times,
-- $4 timestamptz[] event times, $5 text[] verdicts, $6 bytea[] hashes, $7 text[] sources,
-- $8 text[] ids, $9 text[] tenants, $10 text[] types, $11 text[] subjects,
-- $12 text[] actors, $13 text[] correlationids, $14 text[] causationids,
-- $15 text[] traceparents, $16 text[] reasons, $17 bytea[] keys,
-- $18 bytea[] packed headers, $19 bytea[] values
INSERT INTO busline.ledger (stream, "offset", record_time, "time", verdict, hash, source, id,
	tenant, type, subject, actor, correlationid, causationid, traceparent, reason, key,
	headers, data)
SELECT u.stream, u."offset", u.record_time, u."time", u.verdict::busline.verdict, u.hash,
       u.source, u.id, u.tenant, u.type, u.subject, u.actor, u.correlationid, u.causationid,
       u.traceparent, u.reason, u.key, u.headers, u.data
  FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[],
	      $6::bytea[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
	      $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::bytea[],
	      $18::bytea[], $19::bytea[])
       AS u (stream, "offset", record_time, "time", verdict, hash, source, id, tenant, type,
	     subject, actor, correlationid, causationid, traceparent, reason, key, headers,
	     data)
