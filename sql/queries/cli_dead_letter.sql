-- One dead letter whole: $1::text topic, $2::int partition, $3::bigint offset.
SELECT p.topic, p.partition, d."offset", d.cause, d.detail, d.state, d.redrives,
       d.verdict::text AS verdict, d.verdict_reason,
       to_char(d.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS recorded_at,
       to_char(d.resolved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS resolved_at, d.resolved_by, d.resolve_reason, d.act_offset,
       CASE WHEN q.head = d."offset" THEN q.state
	    WHEN q.head IS NOT NULL THEN 'waits behind ' || q.head END AS key_state,
       q.attempts, d.tenant, d.subject, d.type, d.source, d.id, d.key, d.headers, d.data,
       d.edited, to_char(d.edited_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS edited_at, d.edited_by, d.edit_reason
  FROM busline.dead_letter d
  JOIN busline.position p USING (stream)
  LEFT JOIN busline.quarantine q
    ON q.stream = d.stream AND q.tenant = d.tenant AND q.subject = coalesce(d.subject, '')
   AND d.state = 'open' AND d.cause IN ('transient', 'held')
 WHERE p.topic = $1::text AND p.partition = $2::int AND d."offset" = $3::bigint
