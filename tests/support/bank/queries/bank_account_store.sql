-- $1::text[] : tenant
-- $2::text[] : account
-- $3::bigint[] : balance
-- $4::text[] : event_source
-- $5::text[] : event_id
-- $6::timestamptz[] : updated_at
MERGE INTO paas.bank_account AS t
USING (
	SELECT
		unnest($1::text[]) AS tenant,
		unnest($2::text[]) AS account,
		unnest($3::bigint[]) AS balance,
		unnest($4::text[]) AS event_source,
		unnest($5::text[]) AS event_id,
		unnest($6::timestamptz[]) AS updated_at
) AS v
ON t.tenant = v.tenant AND t.account = v.account
WHEN MATCHED THEN UPDATE SET
	balance = v.balance, event_source = v.event_source, event_id = v.event_id, updated_at = v.updated_at
WHEN NOT MATCHED THEN INSERT (tenant, account, balance, event_source, event_id, updated_at)
VALUES (v.tenant, v.account, v.balance, v.event_source, v.event_id, v.updated_at)
