-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : wanted_version
-- $5::bigint[] : applied_version
-- $6::text[] : event_source
-- $7::text[] : event_id
-- $8::timestamptz[] : updated_at
INSERT INTO paas.route (
	tenant, app, host, wanted_version, applied_version, event_source, event_id,
	updated_at
)
SELECT
	v.tenant, v.app, v.host, v.wanted_version, v.applied_version, v.event_source,
	v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[],
	$7::text[], $8::timestamptz[]
) AS v (
	tenant, app, host, wanted_version, applied_version, event_source, event_id,
	updated_at
)
ON CONFLICT (tenant, app, host) DO UPDATE SET
	wanted_version = EXCLUDED.wanted_version,
	applied_version = EXCLUDED.applied_version,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
