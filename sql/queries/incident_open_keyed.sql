-- About keys: opened, or counted if the same kind is open for the same key.
-- $1 text[] kinds, $2 int[] streams, $3 bigint[] offsets, $4 text[] tenants, $5 text[] subjects,
-- $6 text[] details
INSERT INTO busline.incident AS i (kind, topic, partition, "offset", tenant, subject, detail)
SELECT u.kind, p.topic, p.partition, u."offset", u.tenant, u.subject, u.detail
  FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[])
       AS u (kind, stream, "offset", tenant, subject, detail)
  JOIN busline.position p USING (stream)
ON CONFLICT (kind, topic, partition, tenant, subject) WHERE closed_at IS NULL DO UPDATE
   SET "offset" = excluded."offset", detail = excluded.detail, last_seen_at = now(),
       count = i.count + 1
