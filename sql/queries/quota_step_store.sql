-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : sagaid
-- $4::text[] : step
-- $5::text[] : process
-- $6::bigint[] : replicas
-- $7::text[] : status
-- $8::text[] : event_source
-- $9::text[] : event_id
-- $10::timestamptz[] : updated_at
MERGE INTO paas.quota_step AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS sagaid, unnest($4::text[]) AS step,
		unnest($5::text[]) AS process, unnest($6::bigint[]) AS replicas,
		unnest($7::text[]) AS status, unnest($8::text[]) AS event_source,
		unnest($9::text[]) AS event_id, unnest($10::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.sagaid = v.sagaid AND t.step = v.step
WHEN MATCHED THEN UPDATE SET
	process = v.process, replicas = v.replicas, status = v.status,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, sagaid, step, process, replicas, status, event_source, event_id,
	updated_at
) VALUES (
	v.tenant, v.app, v.sagaid, v.step, v.process, v.replicas, v.status,
	v.event_source, v.event_id, v.updated_at
)
