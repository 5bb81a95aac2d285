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
	  FROM busline.dead_letter
	 WHERE recorded_at > now() - interval '1 day' AND state = 'open'
), quarantine AS (
	SELECT count(*) AS keys, count(*) FILTER (WHERE state = 'held') AS parked
	  FROM busline.quarantine
), relay AS (
	SELECT count(*) FILTER (WHERE alive) AS living,
	       string_agg(format('%s has %s', holder,
				 coalesce('shards ' || array_to_string(shards, ' '), 'no shard')),
			  ', ' ORDER BY since) FILTER (WHERE alive) AS whose,
	       coalesce(sum(shard_count) FILTER (WHERE alive IS NOT TRUE), 0) AS free,
	       sum(waiting) AS waiting
	  FROM busline.relays
), timer AS (
	SELECT count(*) AS pending, count(overdue) AS overdue, max(overdue) AS worst
	  FROM busline.timers
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
SELECT 'held keys', CASE WHEN parked > 0 THEN 'fail' WHEN keys > 0 THEN 'warn' ELSE 'ok' END,
       keys || ' held, ' || parked || ' wait for a person',
       CASE WHEN keys > 0 THEN '`busline dlq ls --keys`' END
  FROM quarantine
UNION ALL
SELECT 'dead letters', CASE WHEN recent = 0 THEN 'ok' ELSE 'warn' END,
       recent || ' open within a day', CASE WHEN recent > 0 THEN '`busline dlq ls --group`' END
  FROM dead
UNION ALL
SELECT 'relay', CASE WHEN living > 0 AND free = 0 THEN 'ok'
		     WHEN living > 0 OR waiting = 0 THEN 'warn' ELSE 'fail' END,
       concat_ws(', ', CASE WHEN living = 0 THEN 'none runs' ELSE whose END,
		       waiting || ' outbox events waiting'),
       CASE WHEN living = 0 THEN 'start `busline worker relay`'
	    WHEN free > 0 THEN free || ' shards change hands: look again in some seconds' END
  FROM relay
UNION ALL
SELECT 'timers', CASE WHEN coalesce(worst, '0') < interval '10 s' THEN 'ok' ELSE 'fail' END,
       concat_ws(', ', pending || ' set', CASE WHEN overdue > 0 THEN
		 overdue || ' overdue by up to ' || date_trunc('second', worst) END),
       CASE WHEN worst >= interval '10 s' THEN 'start `busline worker clock`' END
  FROM timer
