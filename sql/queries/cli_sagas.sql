-- Sagas, those that have not ended first, then the newest: $1::text tenant, $2::text status,
-- $3::text definition, each or NULL, $4::bigint limit. Status "open": not ended.
SELECT s.tenant, s.saga, s.definition, s.version, s.status, t.done || '/' || t.steps AS steps,
       t.open AS at, s.failed_step, s.reason, s.requested_by,
       to_char(s.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS requested_at,
       to_char(s.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS finished_at
  FROM (SELECT s.*, s.status IN ('running', 'compensating', 'parked') AS is_open
	  FROM paas.saga s
	 WHERE ($1::text IS NULL OR s.tenant = $1::text)
	   AND ($2::text IS NULL OR s.status = $2::text
		OR ($2::text = 'open' AND s.status IN ('running', 'compensating', 'parked')))
	   AND ($3::text IS NULL OR s.definition = $3::text)
	 ORDER BY is_open DESC, s.requested_at DESC NULLS LAST, s.tenant, s.saga
	 LIMIT $4::bigint) s
 CROSS JOIN LATERAL (
	SELECT count(*) FILTER (WHERE k.status IN ('done', 'skipped')) AS done,
	       count(*) AS steps,
	       string_agg(k.step, ', ' ORDER BY k.stage, k.step) FILTER (WHERE k.status IN
			('running', 'paused', 'stuck', 'undoing', 'undo-paused', 'undo-stuck'))
	       AS open
	  FROM paas.saga_step k
	 WHERE k.tenant = s.tenant AND k.saga = s.saga) t
 ORDER BY s.is_open DESC, s.requested_at DESC NULLS LAST, s.tenant, s.saga
