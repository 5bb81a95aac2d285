-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : process
-- $4::bigint[] : desired
-- $5::bigint[] : observed
-- $6::bigint[] : min
-- $7::bigint[] : max
-- $8::bigint[] : version
-- $9::text[] : status
-- $10::text[] : reason
-- $11::text[] : event_source
-- $12::text[] : event_id
-- $13::timestamptz[] : updated_at
MERGE INTO paas.scale AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS process, unnest($4::bigint[]) AS desired,
		unnest($5::bigint[]) AS observed, unnest($6::bigint[]) AS min,
		unnest($7::bigint[]) AS max, unnest($8::bigint[]) AS version,
		unnest($9::text[]) AS status, unnest($10::text[]) AS reason,
		unnest($11::text[]) AS event_source, unnest($12::text[]) AS event_id,
		unnest($13::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.process = v.process
WHEN MATCHED THEN UPDATE SET
	desired = v.desired, observed = v.observed, min = v.min, max = v.max,
	version = v.version, status = v.status, reason = v.reason,
	event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, process, desired, observed, min, max, version, status, reason,
	event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.process, v.desired, v.observed, v.min, v.max, v.version,
	v.status, v.reason, v.event_source, v.event_id, v.updated_at
)
