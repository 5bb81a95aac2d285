-- MERGE, because these rows have one writer, which the fence checks: ON CONFLICT would lock
-- and log each row once more against others. unnest() as in ledger_insert.
-- $1::text[] : tenant
-- $2::text[] : app
-- $3::text[] : digest
-- $4::text[] : image
-- $5::bigint[] : size_bytes
-- $6::text[] : source_commit
-- $7::timestamptz[] : registered_at
-- $8::text[] : event_source
-- $9::text[] : event_id
-- $10::timestamptz[] : updated_at
MERGE INTO paas.artifact AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant, unnest($2::text[]) AS app,
		unnest($3::text[]) AS digest, unnest($4::text[]) AS image,
		unnest($5::bigint[]) AS size_bytes, unnest($6::text[]) AS source_commit,
		unnest($7::timestamptz[]) AS registered_at,
		unnest($8::text[]) AS event_source, unnest($9::text[]) AS event_id,
		unnest($10::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.app = v.app AND t.digest = v.digest
WHEN MATCHED THEN UPDATE SET
	image = v.image, size_bytes = v.size_bytes, source_commit = v.source_commit,
	registered_at = v.registered_at, event_source = v.event_source,
	event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (
	tenant, app, digest, image, size_bytes, source_commit, registered_at,
	event_source, event_id, updated_at
) VALUES (
	v.tenant, v.app, v.digest, v.image, v.size_bytes, v.source_commit,
	v.registered_at, v.event_source, v.event_id, v.updated_at
)
