-- $1::text[] : tenant
-- $2::text[] : app
-- $3::bigint[] : number
SELECT
	s.tenant, s.app, s.number, s.kind, s.rollback_to, s.image, s.command::text,
	s.environment::text, s.artifact_digest, s.status, s.reason, s.requested_by,
	s.requested_at, s.started_at, s.finished_at, s.event_source, s.event_id,
	s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::bigint[]
) AS k (tenant, app, number)
JOIN paas.release AS s USING (tenant, app, number)
