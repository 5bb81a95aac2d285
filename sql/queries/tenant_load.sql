-- $1::text[] : tenant
SELECT
	s.tenant, s.name, s.plan, s.created_at, s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[]
) AS k (tenant)
JOIN paas.tenant AS s USING (tenant)
