-- MERGE, because these rows have one writer, which the fence checks: see release_store.
-- $1::text[] : tenant
-- $2::text[] : saga
-- $3::text[] : step
-- $4::bigint[] : stage
-- $5::text[] : status
-- $6::bigint[] : do_attempts
-- $7::bigint[] : do_limit
-- $8::bigint[] : undo_attempts
-- $9::bigint[] : undo_limit
-- $10::bigint[] : unanswered
-- $11::bigint[] : succeeded
-- $12::text[] : action
-- $13::text[] : compensation
-- $14::text[] : result, JSON texts
-- $15::text[] : reason
-- $16::text[] : action_id
-- $17::text[] : compensation_id
-- $18::timestamptz[] : began_at
-- $19::timestamptz[] : ended_at
-- $20::timestamptz[] : undone_at
-- $21::timestamptz[] : due_at
-- $22::text[] : event_source
-- $23::text[] : event_id
-- $24::timestamptz[] : updated_at
MERGE INTO paas.saga_step AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS saga,
		unnest($3::text[]) AS step, unnest($4::bigint[]) AS stage,
		unnest($5::text[]) AS status, unnest($6::bigint[]) AS do_attempts,
		unnest($7::bigint[]) AS do_limit, unnest($8::bigint[]) AS undo_attempts,
		unnest($9::bigint[]) AS undo_limit, unnest($10::bigint[]) AS unanswered,
		unnest($11::bigint[]) AS succeeded, unnest($12::text[]) AS action,
		unnest($13::text[]) AS compensation,
		unnest($14::text[])::jsonb AS result, unnest($15::text[]) AS reason,
		unnest($16::text[]) AS action_id,
		unnest($17::text[]) AS compensation_id,
		unnest($18::timestamptz[]) AS began_at,
		unnest($19::timestamptz[]) AS ended_at,
		unnest($20::timestamptz[]) AS undone_at,
		unnest($21::timestamptz[]) AS due_at,
		unnest($22::text[]) AS event_source, unnest($23::text[]) AS event_id,
		unnest($24::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.saga = v.saga AND t.step = v.step
WHEN MATCHED THEN UPDATE SET
	stage = v.stage, status = v.status, do_attempts = v.do_attempts,
	do_limit = v.do_limit, undo_attempts = v.undo_attempts,
	undo_limit = v.undo_limit, unanswered = v.unanswered, succeeded = v.succeeded,
	action = v.action, compensation = v.compensation, result = v.result,
	reason = v.reason, action_id = v.action_id, compensation_id = v.compensation_id,
	began_at = v.began_at, ended_at = v.ended_at, undone_at = v.undone_at,
	due_at = v.due_at, event_source = v.event_source, event_id = v.event_id,
	updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, saga, step, stage, status, do_attempts, do_limit, undo_attempts,
	undo_limit, unanswered, succeeded, action, compensation, result, reason,
	action_id, compensation_id, began_at, ended_at, undone_at, due_at, event_source,
	event_id, updated_at
) VALUES (
	v.tenant, v.saga, v.step, v.stage, v.status, v.do_attempts, v.do_limit,
	v.undo_attempts, v.undo_limit, v.unanswered, v.succeeded, v.action,
	v.compensation, v.result, v.reason, v.action_id, v.compensation_id, v.began_at,
	v.ended_at, v.undone_at, v.due_at, v.event_source, v.event_id, v.updated_at
)
