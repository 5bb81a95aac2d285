-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : description
-- $4::text[] : owner
-- $5::timestamptz[] : created_at
-- $6::timestamptz[] : deleted_at
-- $7::text[] : delete_reason
-- $8::text[] : event_source
-- $9::text[] : event_id
-- $10::timestamptz[] : updated_at
INSERT INTO paas.app (
	tenant, app, description, owner, created_at, deleted_at, delete_reason,
	event_source, event_id, updated_at
)
SELECT
	v.tenant, v.app, v.description, v.owner, v.created_at, v.deleted_at,
	v.delete_reason, v.event_source, v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
	$6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::timestamptz[]
) AS v (
	tenant, app, description, owner, created_at, deleted_at, delete_reason,
	event_source, event_id, updated_at
)
ON CONFLICT (tenant, app) DO UPDATE SET
	description = EXCLUDED.description,
	owner = EXCLUDED.owner,
	created_at = EXCLUDED.created_at,
	deleted_at = EXCLUDED.deleted_at,
	delete_reason = EXCLUDED.delete_reason,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
