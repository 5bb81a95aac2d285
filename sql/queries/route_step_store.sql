-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : sagaid
-- $4::text[] : step
-- $5::text[] : host
-- $6::bigint[] : version
-- $7::bigint[] : version_before
-- $8::text[] : event_source
-- $9::text[] : event_id
-- $10::timestamptz[] : updated_at
MERGE INTO paas.route_step AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS sagaid, unnest($4::text[]) AS step,
		unnest($5::text[]) AS host, unnest($6::bigint[]) AS version,
		unnest($7::bigint[]) AS version_before,
		unnest($8::text[]) AS event_source, unnest($9::text[]) AS event_id,
		unnest($10::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.sagaid = v.sagaid AND t.step = v.step
WHEN MATCHED THEN UPDATE SET
	host = v.host, version = v.version, version_before = v.version_before,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, sagaid, step, host, version, version_before, event_source, event_id,
	updated_at
) VALUES (
	v.tenant, v.app, v.sagaid, v.step, v.host, v.version, v.version_before,
	v.event_source, v.event_id, v.updated_at
)
