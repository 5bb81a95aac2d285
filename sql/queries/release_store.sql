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
INSERT INTO paas.release (
	tenant, app, number, kind, rollback_to, image, command, environment,
	artifact_digest, status, reason, requested_by, requested_at, started_at,
	finished_at, event_source, event_id, updated_at
)
SELECT
	v.tenant, v.app, v.number, v.kind, v.rollback_to, v.image, v.command::jsonb,
	v.environment::jsonb, v.artifact_digest, v.status, v.reason, v.requested_by,
	v.requested_at, v.started_at, v.finished_at, v.event_source, v.event_id,
	v.updated_at
FROM unnest(
	$1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[],
	$7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
	$13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::text[],
	$17::text[], $18::timestamptz[]
) AS v (
	tenant, app, number, kind, rollback_to, image, command, environment,
	artifact_digest, status, reason, requested_by, requested_at, started_at,
	finished_at, event_source, event_id, updated_at
)
ON CONFLICT (tenant, app, number) DO UPDATE SET
	kind = EXCLUDED.kind,
	rollback_to = EXCLUDED.rollback_to,
	image = EXCLUDED.image,
	command = EXCLUDED.command,
	environment = EXCLUDED.environment,
	artifact_digest = EXCLUDED.artifact_digest,
	status = EXCLUDED.status,
	reason = EXCLUDED.reason,
	requested_by = EXCLUDED.requested_by,
	requested_at = EXCLUDED.requested_at,
	started_at = EXCLUDED.started_at,
	finished_at = EXCLUDED.finished_at,
	event_source = EXCLUDED.event_source,
	event_id = EXCLUDED.event_id,
	updated_at = EXCLUDED.updated_at
