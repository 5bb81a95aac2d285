-- $1 text kind, $2 text topic, $3 int partition, $4 bigint offset, $5 text detail
INSERT INTO busline.incident AS i (kind, topic, partition, "offset", detail)
VALUES ($1::text, $2::text, $3::int, $4::bigint, $5::text)
ON CONFLICT (kind, topic, partition, tenant, subject) WHERE closed_at IS NULL DO UPDATE
   SET "offset" = excluded."offset", detail = excluded.detail, last_seen_at = now(),
       count = i.count + 1
