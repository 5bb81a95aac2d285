-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : name
-- $3::text[] : plan
-- $4::timestamptz[] : created_at
-- $5::text[] : event_source
-- $6::text[] : event_id
-- $7::timestamptz[] : updated_at
MERGE INTO paas.tenant AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS name,
		unnest($3::text[]) AS plan, unnest($4::timestamptz[]) AS created_at,
		unnest($5::text[]) AS event_source, unnest($6::text[]) AS event_id,
		unnest($7::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant
WHEN MATCHED THEN UPDATE SET
	name = v.name, plan = v.plan, created_at = v.created_at,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, name, plan, created_at, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.name, v.plan, v.created_at, v.event_source, v.event_id, v.updated_at
)
