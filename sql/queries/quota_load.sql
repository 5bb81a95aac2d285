-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : process
SELECT
	s.tenant, s.app, s.process, s.replicas_max, s.reserved, s.event_source,
	s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[]
) AS k (tenant, app, process)
JOIN paas.quota AS s USING (tenant, app, process)
