-- $1::text[] : tenant
-- $2::text[] : app
-- $3::bigint[] : latest_release
-- $4::bigint[] : current_release
-- $5::bigint[] : previous_release
-- $6::text[] : event_source
-- $7::text[] : event_id
-- $8::timestamptz[] : updated_at
INSERT INTO paas.deployment (
	tenant, app, latest_release, current_release, previous_release, event_source,
	event_id, updated_at
)
SELECT
	v.tenant, v.app, v.latest_release, v.current_release, v.previous_release,
	v.event_source, v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[],
	$7::text[], $8::timestamptz[]
) AS v (
	tenant, app, latest_release, current_release, previous_release, event_source,
	event_id, updated_at
)
ON CONFLICT (tenant, app) DO UPDATE SET
	latest_release = EXCLUDED.latest_release,
	current_release = EXCLUDED.current_release,
	previous_release = EXCLUDED.previous_release,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
