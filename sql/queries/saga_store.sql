-- MERGE, because these rows have one writer, which the fence checks: see release_store.
-- $1::text[] : tenant
-- $2::text[] : saga
-- $3::text[] : definition
-- $4::bigint[] : version
-- $5::text[] : digest
-- $6::text[] : status
-- $7::text[] : direction
-- $8::bigint[] : stage
-- $9::boolean[] : pivot_passed
-- $10::text[] : input, JSON texts
-- $11::text[] : failed_step
-- $12::text[] : reason
-- $13::text[] : requested_by
-- $14::timestamptz[] : requested_at
-- $15::timestamptz[] : finished_at
-- $16::text[] : event_source
-- $17::text[] : event_id
-- $18::timestamptz[] : updated_at
MERGE INTO paas.saga AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS saga,
		unnest($3::text[]) AS definition, unnest($4::bigint[]) AS version,
		unnest($5::text[]) AS digest, unnest($6::text[]) AS status,
		unnest($7::text[]) AS direction, unnest($8::bigint[]) AS stage,
		unnest($9::boolean[]) AS pivot_passed,
		unnest($10::text[])::jsonb AS input, unnest($11::text[]) AS failed_step,
		unnest($12::text[]) AS reason, unnest($13::text[]) AS requested_by,
		unnest($14::timestamptz[]) AS requested_at,
		unnest($15::timestamptz[]) AS finished_at,
		unnest($16::text[]) AS event_source, unnest($17::text[]) AS event_id,
		unnest($18::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.saga = v.saga
WHEN MATCHED THEN UPDATE SET
	definition = v.definition, version = v.version, digest = v.digest,
	status = v.status, direction = v.direction, stage = v.stage,
	pivot_passed = v.pivot_passed, input = v.input, failed_step = v.failed_step,
	reason = v.reason, requested_by = v.requested_by, requested_at = v.requested_at,
	finished_at = v.finished_at, event_source = v.event_source,
	event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, saga, definition, version, digest, status, direction, stage,
	pivot_passed, input, failed_step, reason, requested_by, requested_at,
	finished_at, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.saga, v.definition, v.version, v.digest, v.status, v.direction,
	v.stage, v.pivot_passed, v.input, v.failed_step, v.reason, v.requested_by,
	v.requested_at, v.finished_at, v.event_source, v.event_id, v.updated_at
)
