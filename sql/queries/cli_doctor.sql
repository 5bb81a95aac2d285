-- What PostgreSQL can say of its own health: check, status, detail, advice; no parameters.
WITH setting AS (
	SELECT 'postgresql version' AS name, current_setting('server_version') AS value,
	       current_setting('server_version_num')::int >= 150000 AS good, 'fail' AS otherwise,
	       'PostgreSQL 15 or newer is needed' AS advice
	UNION ALL
	SELECT 'fsync', current_setting('fsync'), current_setting('fsync') = 'on', 'fail',
	       'set fsync = on: without it a crash loses what was committed'
	UNION ALL
	SELECT 'full_page_writes', current_setting('full_page_writes'),
	       current_setting('full_page_writes') = 'on', 'fail',
	       'set full_page_writes = on: without it a crash can tear pages'
	UNION ALL
	SELECT 'synchronous_commit', current_setting('synchronous_commit'),
	       current_setting('synchronous_commit') <> 'off', 'warn',
	       'with off the newest commits are lost in a crash; the log brings them back'
), ledger AS (
	SELECT count(*) AS months
	  FROM generate_series(1, 12) AS ahead
	 WHERE to_regclass('busline.ledger_' || to_char(date_trunc('month', now() AT TIME ZONE
	       'UTC') + make_interval(months => ahead), 'YYYY_MM')) IS NOT NULL
), incident AS (
	SELECT count(*) AS open, string_agg(DISTINCT kind, ', ') AS kinds
	  FROM busline.incident WHERE closed_at IS NULL
), dead AS (
	SELECT count(*) AS recent
	  FROM busline.dead_letter WHERE recorded_at > now() - interval '1 day'
), lease AS (
	SELECT holder, expires_at > clock_timestamp() AS held
	  FROM busline.lease WHERE name = 'relay'
), outbox AS (
	SELECT coalesce(sum(p.outbox_seq - coalesce(m.seq, 0)), 0) AS waiting
	  FROM busline.position p
	  LEFT JOIN busline.outbox_mark m USING (stream)
)
SELECT name AS check, CASE WHEN good THEN 'ok' ELSE otherwise END AS status, value AS detail,
       CASE WHEN NOT good THEN advice END AS advice
  FROM setting
UNION ALL
SELECT 'ledger partitions', CASE WHEN months > 0 THEN 'ok' ELSE 'warn' END,
       months || ' months made ahead',
       CASE WHEN months = 0 THEN 'start a worker: it makes them; until then rows go to the '
				 'default partition' END
  FROM ledger
UNION ALL
SELECT 'ledger default partition',
       CASE WHEN pg_relation_size('busline.ledger_default') = 0 THEN 'ok' ELSE 'warn' END,
       pg_size_pretty(pg_relation_size('busline.ledger_default')),
       CASE WHEN pg_relation_size('busline.ledger_default') > 0
	    THEN 'a month had no partition of its own; nothing is lost, queries read more' END
UNION ALL
SELECT 'incidents', CASE WHEN open = 0 THEN 'ok' ELSE 'fail' END,
       CASE WHEN open = 0 THEN 'none open' ELSE open || ' open: ' || kinds END,
       CASE WHEN open > 0 THEN '`busline incident ls` says what to do' END
  FROM incident
UNION ALL
SELECT 'dead letters', CASE WHEN recent = 0 THEN 'ok' ELSE 'warn' END,
       recent || ' within a day', CASE WHEN recent > 0 THEN '`busline dlq ls --group`' END
  FROM dead
UNION ALL
SELECT 'relay', CASE WHEN l.held THEN 'ok' WHEN o.waiting = 0 THEN 'warn' ELSE 'fail' END,
       concat_ws(', ', CASE WHEN l.held THEN 'held by ' || l.holder ELSE 'nobody holds the lease'
		       END, o.waiting || ' outbox events waiting'),
       CASE WHEN l.held IS NOT TRUE THEN 'start `busline worker relay`' END
  FROM outbox o
  LEFT JOIN lease l ON true
