-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : sagaid
-- $4::text[] : step
SELECT
	s.tenant, s.app, s.sagaid, s.step, s.host, s.version, s.version_before,
	s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[], $4::text[]
) AS k (tenant, app, sagaid, step)
JOIN paas.route_step AS s USING (tenant, app, sagaid, step)
