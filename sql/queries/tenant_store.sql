-- $1::text[] : tenant
-- $2::text[] : name
-- $3::text[] : plan
-- $4::timestamptz[] : created_at
-- $5::text[] : event_source
-- $6::text[] : event_id
-- $7::timestamptz[] : updated_at
INSERT INTO paas.tenant (
	tenant, name, plan, created_at, event_source, event_id, updated_at
)
SELECT
	v.tenant, v.name, v.plan, v.created_at, v.event_source, v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[],
	$7::timestamptz[]
) AS v (
	tenant, name, plan, created_at, event_source, event_id, updated_at
)
ON CONFLICT (tenant) DO UPDATE SET
	name = EXCLUDED.name,
	plan = EXCLUDED.plan,
	created_at = EXCLUDED.created_at,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
