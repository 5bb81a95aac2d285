-- $1::text[] : tenant
-- $2::text[] : app
SELECT
	s.tenant, s.app, s.latest_release, s.current_release, s.previous_release,
	s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[]
) AS k (tenant, app)
JOIN paas.deployment AS s USING (tenant, app)
