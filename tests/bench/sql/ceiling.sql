-- The bare table: no index, no check, nothing but the bytes.
-- $1 bytea[] packed headers, $2 bytea[] values
INSERT INTO bench_bare (headers, data) SELECT * FROM unnest($1::bytea[], $2::bytea[])
