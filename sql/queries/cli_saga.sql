-- A saga with its steps: $1::text tenant or NULL, $2::text saga, $3::boolean: with its events.
-- Events are those it was told and those it sent; the ledger is read from a day before the request
-- on, because it has no index by subject.
SELECT s.tenant, s.saga, s.definition, s.version, s.status, s.direction,
       to_jsonb(s.pivot_passed) AS pivot_passed, s.failed_step, s.reason, s.requested_by,
       to_char(s.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS requested_at,
       to_char(s.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS finished_at,
       s.input,
       (SELECT jsonb_agg(jsonb_build_object(
			'step', k.step, 'stage', k.stage, 'status', k.status,
			'do_attempts', k.do_attempts, 'undo_attempts', k.undo_attempts,
			'action', k.action, 'compensation', k.compensation,
			'reason', k.reason, 'result', k.result,
			'began_at', to_char(k.began_at AT TIME ZONE 'UTC',
					    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
			'ended_at', to_char(k.ended_at AT TIME ZONE 'UTC',
					    'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
			'undone_at', to_char(k.undone_at AT TIME ZONE 'UTC',
					     'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
			'due_at', to_char(k.due_at AT TIME ZONE 'UTC',
					  'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
			ORDER BY k.stage, k.step)
	  FROM paas.saga_step k
	 WHERE k.tenant = s.tenant AND k.saga = s.saga) AS steps,
       CASE WHEN $3::boolean THEN (
	SELECT jsonb_agg(jsonb_build_object(
			'time', to_char(e."time" AT TIME ZONE 'UTC',
					'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
			'topic', e.topic, 'type', e.type, 'verdict', e.verdict, 'why', e.reason,
			'actor', e.actor, 'source', e.source, 'id', e.id,
			'causationid', e.causationid, 'data', e.data,
			'sagastep', CASE WHEN e.topic = 'busline.saga'
				THEN coalesce(e.data ->> 'sagastep',
					      substring(e.data ->> 'name' FROM '^[^/]+/(.+)$'))
				ELSE e.headers ->> 'ce_sagastep' END)
			ORDER BY e."time", e.topic = 'busline.saga' DESC, e."offset", e.topic)
	  FROM busline.events e
	 WHERE e.tenant = s.tenant AND e.verdict <> 'REROUTED'
	   AND e.recorded_at >= coalesce(s.requested_at - interval '1 day', '-infinity')
	   AND CASE WHEN e.topic = 'busline.saga' THEN e.subject = s.saga
		    WHEN e.source = '/busline/worker/saga' THEN e.headers ->> 'ce_sagaid' = s.saga
		    ELSE false END) END AS events
  FROM paas.saga s
 WHERE ($1::text IS NULL OR s.tenant = $1::text) AND s.saga = $2::text
 ORDER BY s.tenant
