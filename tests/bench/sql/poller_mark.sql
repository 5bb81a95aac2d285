-- $1 bigint[] ids
UPDATE bench_outbox SET published_at = now() WHERE id = ANY ($1::bigint[])
