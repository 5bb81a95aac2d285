-- $1::text[] : tenant
-- $2::text[] : app
SELECT
	s.tenant, s.app, s.description, s.owner, s.created_at, s.deleted_at,
	s.delete_reason, s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[]
) AS k (tenant, app)
JOIN paas.app AS s USING (tenant, app)
