-- $1::text[] : tenant
-- $2::text[] : app
-- $3::bigint[] : release
SELECT
	s.tenant, s.app, s.release, s.status, s.reason, s.requested_by, s.requested_at,
	s.finished_at, s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::bigint[]
) AS k (tenant, app, release)
JOIN paas.release_check AS s USING (tenant, app, release)
