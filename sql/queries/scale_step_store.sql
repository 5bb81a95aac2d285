-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : sagaid
-- $4::text[] : step
-- $5::text[] : process
-- $6::bigint[] : version
-- $7::bigint[] : desired_before
-- $8::bigint[] : min_before
-- $9::bigint[] : max_before
-- $10::text[] : status
-- $11::text[] : event_source
-- $12::text[] : event_id
-- $13::timestamptz[] : updated_at
MERGE INTO paas.scale_step AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS sagaid, unnest($4::text[]) AS step,
		unnest($5::text[]) AS process, unnest($6::bigint[]) AS version,
		unnest($7::bigint[]) AS desired_before,
		unnest($8::bigint[]) AS min_before, unnest($9::bigint[]) AS max_before,
		unnest($10::text[]) AS status, unnest($11::text[]) AS event_source,
		unnest($12::text[]) AS event_id, unnest($13::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.sagaid = v.sagaid AND t.step = v.step
WHEN MATCHED THEN UPDATE SET
	process = v.process, version = v.version, desired_before = v.desired_before,
	min_before = v.min_before, max_before = v.max_before, status = v.status,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, sagaid, step, process, version, desired_before, min_before,
	max_before, status, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.sagaid, v.step, v.process, v.version, v.desired_before,
	v.min_before, v.max_before, v.status, v.event_source, v.event_id, v.updated_at
)
