-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::bigint[] : latest_release
-- $4::bigint[] : current_release
-- $5::bigint[] : previous_release
-- $6::text[] : event_source
-- $7::text[] : event_id
-- $8::timestamptz[] : updated_at
MERGE INTO paas.deployment AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::bigint[]) AS latest_release,
		unnest($4::bigint[]) AS current_release,
		unnest($5::bigint[]) AS previous_release,
		unnest($6::text[]) AS event_source, unnest($7::text[]) AS event_id,
		unnest($8::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app
WHEN MATCHED THEN UPDATE SET
	latest_release = v.latest_release, current_release = v.current_release,
	previous_release = v.previous_release, event_source = v.event_source,
	event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, latest_release, current_release, previous_release, event_source,
	event_id, updated_at
) VALUES (
	v.tenant, v.app, v.latest_release, v.current_release, v.previous_release,
	v.event_source, v.event_id, v.updated_at
)
