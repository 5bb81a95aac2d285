-- Releases of an application, the newest first: $1::text tenant or NULL, $2::text app.
SELECT r.tenant, r.app, r.number, to_jsonb(r.number = d.current_release) AS current, r.status,
       r.kind, r.rollback_to, r.image, r.command, r.environment, r.artifact_digest, r.reason,
       r.requested_by, r.requested_at, r.started_at, r.finished_at
  FROM paas.release r
  LEFT JOIN paas.deployment d USING (tenant, app)
 WHERE ($1::text IS NULL OR r.tenant = $1::text) AND r.app = $2::text
 ORDER BY r.tenant, r.app, r.number DESC
