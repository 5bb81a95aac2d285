-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : description
-- $4::text[] : owner
-- $5::timestamptz[] : created_at
-- $6::timestamptz[] : deleted_at
-- $7::text[] : delete_reason
-- $8::text[] : event_source
-- $9::text[] : event_id
-- $10::timestamptz[] : updated_at
MERGE INTO paas.app AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS description, unnest($4::text[]) AS owner,
		unnest($5::timestamptz[]) AS created_at,
		unnest($6::timestamptz[]) AS deleted_at,
		unnest($7::text[]) AS delete_reason, unnest($8::text[]) AS event_source,
		unnest($9::text[]) AS event_id, unnest($10::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app
WHEN MATCHED THEN UPDATE SET
	description = v.description, owner = v.owner, created_at = v.created_at,
	deleted_at = v.deleted_at, delete_reason = v.delete_reason,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, description, owner, created_at, deleted_at, delete_reason,
	event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.description, v.owner, v.created_at, v.deleted_at,
	v.delete_reason, v.event_source, v.event_id, v.updated_at
)
