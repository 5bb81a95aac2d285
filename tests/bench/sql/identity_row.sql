-- $1 int stream, $2 uuid key, $3 bigint offset, $4 bytea digest
INSERT INTO busline.identity (stream, key, "offset", digest)
VALUES ($1::int, $2::uuid, $3::bigint, $4::bytea)
