-- $1 bigint most rows
SELECT id, topic, key, data FROM bench_outbox WHERE published_at IS NULL
 ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED
