-- $1 int stream, $2 bigint offset, $3 timestamptz event time, $4 text verdict, $5 bytea hash,
-- $6 text source, $7 text id, $8 text tenant, $9 text type, $10 text subject, $11 bytea key,
-- $12 bytea packed headers, $13 bytea value
INSERT INTO busline.ledger (stream, "offset", record_time, "time", verdict, hash, source, id,
	tenant, type, subject, key, headers, data)
VALUES ($1::int, $2::bigint, $3::timestamptz, $3::timestamptz, $4::text::busline.verdict, $5::bytea,
	$6::text, $7::text, $8::text, $9::text, $10::text, $11::bytea, $12::bytea, $13::bytea)
