-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : wanted_version
-- $5::bigint[] : applied_version
-- $6::text[] : event_source
-- $7::text[] : event_id
-- $8::timestamptz[] : updated_at
MERGE INTO paas.route AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS host, unnest($4::bigint[]) AS wanted_version,
		unnest($5::bigint[]) AS applied_version,
		unnest($6::text[]) AS event_source, unnest($7::text[]) AS event_id,
		unnest($8::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.host = v.host
WHEN MATCHED THEN UPDATE SET
	wanted_version = v.wanted_version, applied_version = v.applied_version,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, host, wanted_version, applied_version, event_source, event_id,
	updated_at
) VALUES (
	v.tenant, v.app, v.host, v.wanted_version, v.applied_version, v.event_source,
	v.event_id, v.updated_at
)
