-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : digest
-- $4::text[] : image
-- $5::bigint[] : size_bytes
-- $6::text[] : source_commit
-- $7::timestamptz[] : registered_at
-- $8::text[] : event_source
-- $9::text[] : event_id
-- $10::timestamptz[] : updated_at
INSERT INTO paas.artifact (
	tenant, app, digest, image, size_bytes, source_commit, registered_at,
	event_source, event_id, updated_at
)
SELECT
	v.tenant, v.app, v.digest, v.image, v.size_bytes, v.source_commit,
	v.registered_at, v.event_source, v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[],
	$7::timestamptz[], $8::text[], $9::text[], $10::timestamptz[]
) AS v (
	tenant, app, digest, image, size_bytes, source_commit, registered_at,
	event_source, event_id, updated_at
)
ON CONFLICT (tenant, app, digest) DO UPDATE SET
	image = EXCLUDED.image,
	size_bytes = EXCLUDED.size_bytes,
	source_commit = EXCLUDED.source_commit,
	registered_at = EXCLUDED.registered_at,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
