-- $1::text[] : tenant
-- $2::text[] : saga
SELECT
	s.tenant, s.saga, s.definition, s.version, s.digest, s.status, s.direction,
	s.stage, s.pivot_passed, s.input::text, s.failed_step, s.reason, s.requested_by,
	s.requested_at, s.finished_at, s.event_source, s.event_id, s.updated_at
FROM unnest(
	$1::text[], $2::text[]
) AS k (tenant, saga)
JOIN paas.saga AS s USING (tenant, saga)
