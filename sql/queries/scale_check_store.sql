-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : process
-- $4::text[] : status
-- $5::text[] : reason
-- $6::text[] : requested_by
-- $7::timestamptz[] : requested_at
-- $8::timestamptz[] : finished_at
-- $9::text[] : event_source
-- $10::text[] : event_id
-- $11::timestamptz[] : updated_at
MERGE INTO paas.scale_check AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS process, unnest($4::text[]) AS status,
		unnest($5::text[]) AS reason, unnest($6::text[]) AS requested_by,
		unnest($7::timestamptz[]) AS requested_at,
		unnest($8::timestamptz[]) AS finished_at,
		unnest($9::text[]) AS event_source, unnest($10::text[]) AS event_id,
		unnest($11::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.process = v.process
WHEN MATCHED THEN UPDATE SET
	status = v.status, reason = v.reason, requested_by = v.requested_by,
	requested_at = v.requested_at, finished_at = v.finished_at,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, process, status, reason, requested_by, requested_at, finished_at,
	event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.process, v.status, v.reason, v.requested_by, v.requested_at,
	v.finished_at, v.event_source, v.event_id, v.updated_at
)
