-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : host
-- $4::bigint[] : version
-- $5::bigint[] : release
-- $6::bigint[] : weight
-- $7::text[] : event_source
-- $8::text[] : event_id
-- $9::timestamptz[] : updated_at
MERGE INTO paas.route_target AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS host, unnest($4::bigint[]) AS version,
		unnest($5::bigint[]) AS release, unnest($6::bigint[]) AS weight,
		unnest($7::text[]) AS event_source, unnest($8::text[]) AS event_id,
		unnest($9::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.host = v.host AND t.version = v.version AND t.release = v.release
WHEN MATCHED THEN UPDATE SET
	weight = v.weight, event_source = v.event_source, event_id = v.event_id,
	updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, host, version, release, weight, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.host, v.version, v.release, v.weight, v.event_source,
	v.event_id, v.updated_at
)
