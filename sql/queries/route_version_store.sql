-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : version
-- $5::text[] : status
-- $6::text[] : reason
-- $7::text[] : requested_by
-- $8::timestamptz[] : requested_at
-- $9::timestamptz[] : finished_at
-- $10::text[] : targets
-- $11::bigint[] : restores
-- $12::text[] : event_source
-- $13::text[] : event_id
-- $14::timestamptz[] : updated_at
MERGE INTO paas.route_version AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS host, unnest($4::bigint[]) AS version,
		unnest($5::text[]) AS status, unnest($6::text[]) AS reason,
		unnest($7::text[]) AS requested_by,
		unnest($8::timestamptz[]) AS requested_at,
		unnest($9::timestamptz[]) AS finished_at,
		unnest($10::text[])::jsonb AS targets, unnest($11::bigint[]) AS restores,
		unnest($12::text[]) AS event_source, unnest($13::text[]) AS event_id,
		unnest($14::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.host = v.host AND t.version = v.version
WHEN MATCHED THEN UPDATE SET
	status = v.status, reason = v.reason, requested_by = v.requested_by,
	requested_at = v.requested_at, finished_at = v.finished_at, targets = v.targets,
	restores = v.restores, event_source = v.event_source, event_id = v.event_id,
	updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, host, version, status, reason, requested_by, requested_at,
	finished_at, targets, restores, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.host, v.version, v.status, v.reason, v.requested_by,
	v.requested_at, v.finished_at, v.targets, v.restores, v.event_source, v.event_id,
	v.updated_at
)
