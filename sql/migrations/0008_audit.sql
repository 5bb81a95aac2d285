-- What an auditor asks, as views over ledger and state. security_invoker: the reader's own
-- rights and row-level policies hold, never those of the view's owner.
SET LOCAL ROLE busline_owner;

-- Every row of state, as one list: which event made it what it is.
CREATE VIEW audit.state_row WITH (security_invoker = true) AS
SELECT 'tenant' AS table_name, tenant, NULL AS app, tenant AS key, event_source, event_id,
       updated_at, to_jsonb(t) AS row FROM paas.tenant t
UNION ALL
SELECT 'app', tenant, app, app, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.app t
UNION ALL
SELECT 'artifact', tenant, app, digest, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.artifact t
UNION ALL
SELECT 'deployment', tenant, app, app, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.deployment t
UNION ALL
SELECT 'release', tenant, app, 'v' || number, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.release t
UNION ALL
SELECT 'scale', tenant, app, process, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.scale t
UNION ALL
SELECT 'route', tenant, app, host, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.route t
UNION ALL
SELECT 'route_version', tenant, app, host || ' v' || version, event_source, event_id,
       updated_at, to_jsonb(t) FROM paas.route_version t
UNION ALL
SELECT 'route_target', tenant, app, host || ' v' || version || ' release v' || release,
       event_source, event_id, updated_at, to_jsonb(t) FROM paas.route_target t;
COMMENT ON VIEW audit.state_row IS 'every state row with the event that made it what it is';

-- Every event that counts, with what a person wants to see of it. An event that was sent
-- home stands twice in the ledger, once as REROUTED; here it stands where it took effect.
CREATE VIEW audit.event WITH (security_invoker = true) AS
SELECT tenant, subject AS app, "time", type, verdict, reason, actor, source, id,
       correlationid, causationid, data, topic, partition, "offset", recorded_at
  FROM busline.events
 WHERE verdict <> 'REROUTED';
COMMENT ON VIEW audit.event IS 'every event that counts, where it took effect';

-- The state of each app: what is wanted and what runs, from all families at once.
CREATE VIEW audit.app_state WITH (security_invoker = true) AS
SELECT k.tenant, k.app, a.owner, a.created_at, a.deleted_at,
       d.current_release, d.latest_release, c.image AS current_image,
       l.status AS latest_status,
       (SELECT jsonb_object_agg(s.process, s.desired ORDER BY s.process)
	  FROM paas.scale s WHERE s.tenant = k.tenant AND s.app = k.app) AS desired_replicas,
       (SELECT jsonb_object_agg(r.host, w.targets ORDER BY r.host)
	  FROM paas.route r
	 CROSS JOIN LATERAL (
		SELECT jsonb_object_agg('v' || t.release, t.weight ORDER BY t.release) AS targets
		  FROM paas.route_target t
		 WHERE t.tenant = r.tenant AND t.app = r.app AND t.host = r.host
		   AND t.version = r.wanted_version) w
	 WHERE r.tenant = k.tenant AND r.app = k.app) AS routes
  FROM (SELECT tenant, app FROM paas.app
	UNION SELECT tenant, app FROM paas.deployment
	UNION SELECT tenant, app FROM paas.scale
	UNION SELECT tenant, app FROM paas.route) k
  LEFT JOIN paas.app a USING (tenant, app)
  LEFT JOIN paas.deployment d USING (tenant, app)
  LEFT JOIN paas.release c ON c.tenant = k.tenant AND c.app = k.app
			  AND c.number = d.current_release
  LEFT JOIN paas.release l ON l.tenant = k.tenant AND l.app = k.app
			  AND l.number = d.latest_release;
COMMENT ON VIEW audit.app_state IS 'wanted state of each app, from all families';

-- The history of each app, oldest first within it.
CREATE VIEW audit.app_history WITH (security_invoker = true) AS
SELECT tenant, app, row_number() OVER (PARTITION BY tenant, app
				       ORDER BY "time", topic, partition, "offset") AS step,
       "time", type, verdict, reason, actor, data, source, id
  FROM audit.event
 WHERE app <> '';
COMMENT ON VIEW audit.app_history IS 'all that happened to an app, in order';

-- Who did what: how often, when first and last, with what outcome.
CREATE VIEW audit.actor_activity WITH (security_invoker = true) AS
SELECT actor, tenant, type, verdict, count(*) AS events, min("time") AS first_at,
       max("time") AS last_at
  FROM audit.event
 WHERE actor IS NOT NULL
 GROUP BY actor, tenant, type, verdict;
COMMENT ON VIEW audit.actor_activity IS 'who did what, how often, with what outcome';

-- One step from a cause to what it led to. Ids are unique within a source only, so the tenant
-- must agree too.
CREATE VIEW audit.cause WITH (security_invoker = true) AS
SELECT c.tenant, c.source AS cause_source, c.id AS cause_id, c.type AS cause_type,
       e.source AS effect_source, e.id AS effect_id, e.type AS effect_type,
       e.verdict AS effect_verdict
  FROM audit.event e JOIN audit.event c ON c.id = e.causationid AND c.tenant = e.tenant;
COMMENT ON VIEW audit.cause IS 'from an event to those it caused, one step';

-- The whole chain an event stands in: what led to it (depth below 0) and what it led to.
CREATE FUNCTION audit.chain(event_id text)
RETURNS TABLE (depth int, "time" timestamptz, type text, verdict busline.verdict, actor text,
	       source text, id text, causationid text)
LANGUAGE sql STABLE AS $$
	WITH RECURSIVE up AS (
		SELECT 0 AS depth, e.id, e.causationid FROM audit.event e WHERE e.id = event_id
		UNION
		SELECT up.depth - 1, e.id, e.causationid
		  FROM up JOIN audit.event e ON e.id = up.causationid WHERE up.depth > -100
	), down AS (
		SELECT 0 AS depth, e.id FROM audit.event e WHERE e.id = event_id
		UNION
		SELECT down.depth + 1, e.id
		  FROM down JOIN audit.event e ON e.causationid = down.id
		 WHERE down.depth < 100
	), both_ways AS (
		SELECT up.depth, up.id FROM up UNION SELECT down.depth, down.id FROM down
	)
	SELECT b.depth, e."time", e.type, e.verdict, e.actor, e.source, e.id, e.causationid
	  FROM both_ways b JOIN audit.event e ON e.id = b.id
	 ORDER BY b.depth, e."time", e.id
$$;
COMMENT ON FUNCTION audit.chain IS 'what led to an event and what it led to';

-- All events of one undertaking.
CREATE VIEW audit.correlation WITH (security_invoker = true) AS
SELECT coalesce(correlationid, id) AS correlationid, tenant, "time", type, verdict, actor,
       app, source, id, causationid
  FROM audit.event;
COMMENT ON VIEW audit.correlation IS 'events by the undertaking they belong to';

-- What an event changed: the rows it was the last to touch.
CREATE VIEW audit.event_change WITH (security_invoker = true) AS
SELECT s.event_source AS source, s.event_id AS id, s.table_name, s.tenant, s.app, s.key,
       s.row - ARRAY['tenant', 'app', 'event_source', 'event_id', 'updated_at'] AS row
  FROM audit.state_row s;
COMMENT ON VIEW audit.event_change IS 'the state rows an event was the last to touch';

-- What could never be applied, with its bytes as text where they are text.
CREATE VIEW audit.dead_letter WITH (security_invoker = true) AS
SELECT p.topic, p.partition, d."offset", d.cause, d.detail, d.tenant, d.subject AS app, d.type,
       d.source, d.id, busline.headers_jsonb(d.headers) AS headers,
       busline.text_or_null(d.data) AS data, d.data AS raw, d.recorded_at
  FROM busline.dead_letter d JOIN busline.position p USING (stream);
COMMENT ON VIEW audit.dead_letter IS 'what could never be applied, and why';

CREATE VIEW audit.dead_letters_by_cause WITH (security_invoker = true) AS
SELECT cause, tenant, type, count(*) AS events, min(recorded_at) AS first_at,
       max(recorded_at) AS last_at
  FROM audit.dead_letter
 GROUP BY cause, tenant, type;
COMMENT ON VIEW audit.dead_letters_by_cause IS 'dead letters by cause';

GRANT SELECT ON ALL TABLES IN SCHEMA audit TO busline_auditor;
GRANT EXECUTE ON FUNCTION audit.chain TO busline_auditor;
