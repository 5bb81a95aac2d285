-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : version
-- $5::bigint[] : release
-- $6::bigint[] : weight
-- $7::text[] : event_source
-- $8::text[] : event_id
-- $9::timestamptz[] : updated_at
INSERT INTO paas.route_target (
	tenant, app, host, version, release, weight, event_source, event_id, updated_at
)
SELECT
	v.tenant, v.app, v.host, v.version, v.release, v.weight, v.event_source,
	v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
	$7::text[], $8::text[], $9::timestamptz[]
) AS v (
	tenant, app, host, version, release, weight, event_source, event_id, updated_at
)
ON CONFLICT (tenant, app, host, version, release) DO UPDATE SET
	weight = EXCLUDED.weight,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
