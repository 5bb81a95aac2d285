-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : digest
SELECT
	s.tenant, s.app, s.digest, s.image, s.size_bytes, s.source_commit,
	s.registered_at, s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[]
) AS k (tenant, app, digest)
JOIN paas.artifact AS s USING (tenant, app, digest)
