-- Timers set by transactions from one on, a page of them. due_ms is rounded up: never early.
-- $1 bigint first transaction, $2 bigint transaction and $3 bigint number of the last one of
-- the page before, $4 bigint most rows
SELECT xid, number, delay_ms, ceil(extract(epoch FROM due_at) * 1000)::bigint AS due_ms
  FROM busline.timer
 WHERE xid >= $1::bigint AND (xid, number) > ($2::bigint, $3::bigint)
 ORDER BY xid, number
 LIMIT $4::bigint
