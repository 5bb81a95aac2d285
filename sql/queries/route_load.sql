-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
SELECT
	s.tenant, s.app, s.host, s.wanted_version, s.applied_version, s.event_source,
	s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[]
) AS k (tenant, app, host)
JOIN paas.route AS s USING (tenant, app, host)
