-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::bigint[] : number
-- $4::text[] : kind
-- $5::bigint[] : rollback_to
-- $6::text[] : image
-- $7::text[] : command, JSON texts
-- $8::text[] : environment, JSON texts
-- $9::text[] : artifact_digest
-- $10::text[] : status
-- $11::text[] : reason
-- $12::text[] : requested_by
-- $13::timestamptz[] : requested_at
-- $14::timestamptz[] : started_at
-- $15::timestamptz[] : finished_at
-- $16::text[] : event_source
-- $17::text[] : event_id
-- $18::timestamptz[] : updated_at
MERGE INTO paas.release AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::bigint[]) AS number, unnest($4::text[]) AS kind,
		unnest($5::bigint[]) AS rollback_to, unnest($6::text[]) AS image,
		unnest($7::text[])::jsonb AS command,
		unnest($8::text[])::jsonb AS environment,
		unnest($9::text[]) AS artifact_digest, unnest($10::text[]) AS status,
		unnest($11::text[]) AS reason, unnest($12::text[]) AS requested_by,
		unnest($13::timestamptz[]) AS requested_at,
		unnest($14::timestamptz[]) AS started_at,
		unnest($15::timestamptz[]) AS finished_at,
		unnest($16::text[]) AS event_source, unnest($17::text[]) AS event_id,
		unnest($18::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.number = v.number
WHEN MATCHED THEN UPDATE SET
	kind = v.kind, rollback_to = v.rollback_to, image = v.image,
	command = v.command, environment = v.environment,
	artifact_digest = v.artifact_digest, status = v.status, reason = v.reason,
	requested_by = v.requested_by, requested_at = v.requested_at,
	started_at = v.started_at, finished_at = v.finished_at,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, number, kind, rollback_to, image, command, environment,
	artifact_digest, status, reason, requested_by, requested_at, started_at,
	finished_at, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.number, v.kind, v.rollback_to, v.image, v.command,
	v.environment, v.artifact_digest, v.status, v.reason, v.requested_by,
	v.requested_at, v.started_at, v.finished_at, v.event_source, v.event_id,
	v.updated_at
)
