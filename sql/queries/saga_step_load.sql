-- $1::text[] : tenant
-- $2::text[] : saga
-- $3::text[] : step
SELECT
	s.tenant, s.saga, s.step, s.stage, s.status, s.do_attempts, s.do_limit,
	s.undo_attempts, s.undo_limit, s.unanswered, s.succeeded, s.action,
	s.compensation, s.result::text, s.reason, s.action_id, s.compensation_id,
	s.began_at, s.ended_at, s.undone_at, s.due_at, s.event_source, s.event_id,
	s.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::text[]
) AS k (tenant, saga, step)
JOIN paas.saga_step AS s USING (tenant, saga, step)
