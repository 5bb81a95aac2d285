-- Releases of an application, the newest first: $1::text tenant or NULL, $2::text app.
SELECT r.tenant, r.app, r.number, to_jsonb(r.number = d.current_release) AS current, r.status,
       r.kind, r.rollback_to, r.image, r.command, r.environment, r.artifact_digest, r.reason,
       r.requested_by,
       to_char(r.requested_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS requested_at,
       to_char(r.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
       to_char(r.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS finished_at
  FROM paas.release r
  LEFT JOIN paas.deployment d USING (tenant, app)
 WHERE ($1::text IS NULL OR r.tenant = $1::text) AND r.app = $2::text
 ORDER BY r.tenant, r.app, r.number DESC
