-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : version
SELECT
	s.tenant, s.app, s.host, s.version, s.status, s.reason, s.requested_by,
	s.requested_at, s.finished_at, s.targets::text, s.restores, s.event_source,
	s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::bigint[]
) AS k (tenant, app, host, version)
JOIN paas.route_version AS s USING (tenant, app, host, version)
