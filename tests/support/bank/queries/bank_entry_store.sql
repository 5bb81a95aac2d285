-- $1::text[] : tenant
-- $2::text[] : account
-- $3::text[] : saga
-- $4::text[] : kind
-- $5::bigint[] : amount
-- $6::text[] : status
-- $7::text[] : event_source
-- $8::text[] : event_id
-- $9::timestamptz[] : updated_at
MERGE INTO paas.bank_entry AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant,
		unnest($2::text[]) AS account,
		unnest($3::text[]) AS saga,
		unnest($4::text[]) AS kind,
		unnest($5::bigint[]) AS amount,
		unnest($6::text[]) AS status,
		unnest($7::text[]) AS event_source,
		unnest($8::text[]) AS event_id,
		unnest($9::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.account = v.account AND t.saga = v.saga AND t.kind = v.kind
WHEN MATCHED THEN UPDATE SET
	amount = v.amount, status = v.status, event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (tenant, account, saga, kind, amount, status, event_source, event_id, updated_at)
VALUES (v.tenant, v.account, v.saga, v.kind, v.amount, v.status, v.event_source, v.event_id, v.updated_at)
