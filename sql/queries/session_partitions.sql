-- Ledger partitions ahead of time, if this role may make them.
-- $1 int months ahead
SELECT busline.session_partitions($1::int)
