-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : version
-- $5::bigint[] : release
SELECT
	s.tenant, s.app, s.host, s.version, s.release, s.weight, s.event_source,
	s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]
) AS k (tenant, app, host, version, release)
JOIN paas.route_target AS s USING (tenant, app, host, version, release)
