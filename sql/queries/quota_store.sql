-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : process
-- $4::bigint[] : replicas_max
-- $5::bigint[] : reserved
-- $6::text[] : event_source
-- $7::text[] : event_id
-- $8::timestamptz[] : updated_at
MERGE INTO paas.quota AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS process, unnest($4::bigint[]) AS replicas_max,
		unnest($5::bigint[]) AS reserved, unnest($6::text[]) AS event_source,
		unnest($7::text[]) AS event_id, unnest($8::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.process = v.process
WHEN MATCHED THEN UPDATE SET
	replicas_max = v.replicas_max, reserved = v.reserved,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, process, replicas_max, reserved, event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.process, v.replicas_max, v.reserved, v.event_source,
	v.event_id, v.updated_at
)
