-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : process
-- $4::bigint[] : desired
-- $5::bigint[] : observed
-- $6::bigint[] : min
-- $7::bigint[] : max
-- $8::bigint[] : version
-- $9::text[] : status
-- $10::text[] : reason
-- $11::text[] : event_source
-- $12::text[] : event_id
-- $13::timestamptz[] : updated_at
INSERT INTO paas.scale (
	tenant, app, process, desired, observed, min, max, version, status, reason,
	event_source, event_id, updated_at
)
SELECT
	v.tenant, v.app, v.process, v.desired, v.observed, v.min, v.max, v.version,
	v.status, v.reason, v.event_source, v.event_id, v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
	$7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[],
	$13::timestamptz[]
) AS v (
	tenant, app, process, desired, observed, min, max, version, status, reason,
	event_source, event_id, updated_at
)
ON CONFLICT (tenant, app, process) DO UPDATE SET
	desired = EXCLUDED.desired,
	observed = EXCLUDED.observed,
	min = EXCLUDED.min,
	max = EXCLUDED.max,
	version = EXCLUDED.version,
	status = EXCLUDED.status,
	reason = EXCLUDED.reason,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
