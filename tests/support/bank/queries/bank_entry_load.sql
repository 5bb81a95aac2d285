-- $1::text[] : tenant
-- $2::text[] : account
-- $3::text[] : saga
-- $4::text[] : kind
SELECT t.tenant, t.account, t.saga, t.kind, t.amount, t.status, t.event_source, t.event_id, t.updated_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (tenant, account, saga, kind)
JOIN paas.bank_entry AS t USING (tenant, account, saga, kind)
