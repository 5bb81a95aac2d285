-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : version
-- $5::text[] : status
-- $6::text[] : reason
-- $7::text[] : requested_by
-- $8::timestamptz[] : requested_at
-- $9::timestamptz[] : finished_at
-- $10::text[] : event_source
-- $11::text[] : event_id
-- $12::timestamptz[] : updated_at
INSERT INTO paas.route_version (
	tenant, app, host, version, status, reason, requested_by, requested_at,
	finished_at, event_source, event_id, updated_at
)
SELECT
	v.tenant, v.app, v.host, v.version, v.status, v.reason, v.requested_by,
	v.requested_at, v.finished_at, v.event_source, v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
	$7::text[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[],
	$12::timestamptz[]
) AS v (
	tenant, app, host, version, status, reason, requested_by, requested_at,
	finished_at, event_source, event_id, updated_at
)
ON CONFLICT (tenant, app, host, version) DO UPDATE SET
	status = EXCLUDED.status,
	reason = EXCLUDED.reason,
	requested_by = EXCLUDED.requested_by,
	requested_at = EXCLUDED.requested_at,
	finished_at = EXCLUDED.finished_at,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
