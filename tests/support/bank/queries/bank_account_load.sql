-- $1::text[] : tenant
-- $2::text[] : account
SELECT t.tenant, t.account, t.balance, t.event_source, t.event_id, t.updated_at
FROM unnest($1::text[], $2::text[]) AS k (tenant, account)
JOIN paas.bank_account AS t USING (tenant, account)
