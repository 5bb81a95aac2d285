-- Sagas: where each is, what each of its steps has come to, and what people ask about them.
SET LOCAL ROLE busline_owner;

-- Written by the saga worker alone. A saga keeps the definition it began with: digest is of its
-- file. Times are event times.
CREATE TABLE paas.saga (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	saga         text COLLATE "C" NOT NULL CHECK (saga <> ''),
	definition   text NOT NULL CHECK (definition <> ''),
	version      bigint NOT NULL CHECK (version >= 1),
	digest       text NOT NULL,
	status       text NOT NULL CHECK (status IN ('running', 'compensating', 'parked',
						     'completed', 'compensated')),
	direction    text NOT NULL CHECK (direction IN ('forward', 'back')),
	stage        bigint NOT NULL CHECK (stage >= -1),
	pivot_passed boolean NOT NULL,
	input        jsonb NOT NULL CHECK (jsonb_typeof(input) = 'object'),
	failed_step  text,
	reason       text,
	requested_by text,
	requested_at timestamptz,
	finished_at  timestamptz,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, saga),
	CHECK (status <> 'completed' OR direction = 'forward'),
	CHECK (status NOT IN ('compensating', 'compensated') OR direction = 'back')
) WITH (fillfactor = 85);
COMMENT ON COLUMN paas.saga.stage IS
	'forward: the first that is not over; back: the highest of which something is open, or -1';
-- Those that have not ended are few, and asked for most.
CREATE INDEX saga_open ON paas.saga (tenant, saga)
	WHERE status IN ('running', 'compensating', 'parked');

-- A row for each step from the saga's beginning: what takes it back is known before it is sent.
CREATE TABLE paas.saga_step (
	tenant          text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	saga            text COLLATE "C" NOT NULL CHECK (saga <> ''),
	step            text COLLATE "C" NOT NULL CHECK (step <> ''),
	stage           bigint NOT NULL CHECK (stage >= 0),
	status          text NOT NULL
		CHECK (status IN ('idle', 'running', 'paused', 'done', 'failed', 'unknown', 'stuck',
				  'skipped', 'undoing', 'undo-paused', 'undone', 'undo-stuck')),
	do_attempts     bigint NOT NULL CHECK (do_attempts BETWEEN 0 AND do_limit),
	do_limit        bigint NOT NULL,
	undo_attempts   bigint NOT NULL CHECK (undo_attempts BETWEEN 0 AND undo_limit),
	undo_limit      bigint NOT NULL,
	unanswered      bigint NOT NULL,
	succeeded       bigint NOT NULL,
	action          text NOT NULL,
	compensation    text,
	result          jsonb,
	reason          text,
	action_id       text,
	compensation_id text,
	began_at        timestamptz,
	ended_at        timestamptz,
	undone_at       timestamptz,
	due_at          timestamptz,
	event_source    text NOT NULL,
	event_id        text NOT NULL,
	updated_at      timestamptz,
	PRIMARY KEY (tenant, saga, step),
	CHECK (compensation IS NOT NULL OR undo_attempts = 0)
) WITH (fillfactor = 70);
COMMENT ON COLUMN paas.saga_step.do_limit IS 'attempts up to this number come by themselves';
COMMENT ON COLUMN paas.saga_step.unanswered IS
	'attempts of the action that may have had an effect: bit (attempt - 1) % 62';
COMMENT ON COLUMN paas.saga_step.succeeded IS 'attempts of the action that said so, likewise';
COMMENT ON COLUMN paas.saga_step.due_at IS 'its deadline while an attempt is out, else its next attempt';

DO $$
DECLARE
	guarded regclass;
BEGIN
	FOREACH guarded IN ARRAY ARRAY['paas.saga', 'paas.saga_step']::regclass[] LOOP
		PERFORM busline.tenant_guard(guarded);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %s TO busline_worker', guarded);
		EXECUTE format('GRANT SELECT ON %s TO busline_gateway, busline_auditor', guarded);
	END LOOP;
END
$$;

-- What is asked about sagas. security_invoker as in 0008.

CREATE VIEW audit.saga WITH (security_invoker = true) AS
SELECT s.tenant, s.saga, s.definition, s.version, s.status, s.direction, t.done, t.steps,
       t.open_steps, t.attempts, s.failed_step, s.reason, s.requested_by, s.requested_at,
       s.finished_at, s.finished_at - s.requested_at AS took, s.pivot_passed, s.input,
       s.event_source, s.event_id, s.updated_at
  FROM paas.saga s
 CROSS JOIN LATERAL (
	SELECT count(*) AS steps,
	       count(*) FILTER (WHERE k.status IN ('done', 'skipped')) AS done,
	       array_agg(k.step ORDER BY k.stage, k.step) FILTER (WHERE k.status IN
			('running', 'paused', 'stuck', 'undoing', 'undo-paused', 'undo-stuck'))
		       AS open_steps,
	       sum(k.do_attempts + k.undo_attempts) AS attempts
	  FROM paas.saga_step k WHERE k.tenant = s.tenant AND k.saga = s.saga) t;
COMMENT ON VIEW audit.saga IS 'each saga with how far it is';

CREATE VIEW audit.saga_step WITH (security_invoker = true) AS
SELECT s.tenant, s.saga, s.definition, s.version, k.stage, k.step, k.status, k.do_attempts,
       k.undo_attempts, k.unanswered <> 0 AND k.status NOT IN ('done', 'running', 'undone')
	       AS uncertain,
       k.action, k.compensation, k.result, k.reason, k.began_at, k.ended_at, k.undone_at, k.due_at,
       k.ended_at - k.began_at AS took, k.action_id, k.compensation_id, k.event_source,
       k.event_id, k.updated_at
  FROM paas.saga_step k JOIN paas.saga s USING (tenant, saga);
COMMENT ON VIEW audit.saga_step IS 'each step of each saga';

CREATE VIEW audit.saga_running WITH (security_invoker = true) AS
SELECT tenant, saga, definition, version, status, done, steps, open_steps, requested_by,
       requested_at, now() - requested_at AS age
  FROM audit.saga
 WHERE status IN ('running', 'compensating');
COMMENT ON VIEW audit.saga_running IS 'sagas on their way, forward or back';

-- A step whose time is over and that nobody has told so: its clock, worker or relay is behind.
CREATE VIEW audit.saga_stuck WITH (security_invoker = true) AS
SELECT DISTINCT ON (s.tenant, s.saga)
       s.tenant, s.saga, s.definition, s.version, s.status, k.step, k.status AS step_status,
       k.do_attempts, k.undo_attempts, k.due_at, now() - k.due_at AS overdue,
       now() - s.requested_at AS age
  FROM paas.saga s JOIN paas.saga_step k USING (tenant, saga)
 WHERE s.status IN ('running', 'compensating', 'parked') AND k.due_at < now()
 ORDER BY s.tenant, s.saga, k.due_at;
COMMENT ON VIEW audit.saga_stuck IS 'open sagas with their step that is longest past its time';

CREATE VIEW audit.saga_parked WITH (security_invoker = true) AS
SELECT s.tenant, s.saga, s.definition, s.version, s.direction, k.step, k.status AS step_status,
       k.do_attempts, k.undo_attempts, k.unanswered <> 0 AS uncertain, k.reason,
       k.updated_at AS parked_at, s.pivot_passed, s.requested_by, s.requested_at
  FROM paas.saga s JOIN paas.saga_step k USING (tenant, saga)
 WHERE s.status = 'parked' AND k.status IN ('stuck', 'undo-stuck');
COMMENT ON VIEW audit.saga_parked IS 'steps that wait for a person';

CREATE VIEW audit.saga_outcome WITH (security_invoker = true) AS
SELECT definition, version, count(*) AS sagas,
       count(*) FILTER (WHERE status = 'completed') AS completed,
       count(*) FILTER (WHERE status = 'compensated') AS compensated,
       count(*) FILTER (WHERE status = 'parked') AS parked,
       count(*) FILTER (WHERE status IN ('running', 'compensating')) AS open,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY finished_at - requested_at) AS took_p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY finished_at - requested_at) AS took_p95
  FROM paas.saga
 GROUP BY definition, version;
COMMENT ON VIEW audit.saga_outcome IS 'how the sagas of each definition ended';

CREATE VIEW audit.saga_funnel WITH (security_invoker = true) AS
SELECT s.definition, s.version, k.stage, k.step, count(*) AS sagas,
       count(*) FILTER (WHERE k.do_attempts > 0) AS reached,
       count(*) FILTER (WHERE k.status IN ('done', 'skipped')) AS done,
       count(*) FILTER (WHERE k.status = 'undone') AS undone,
       count(*) FILTER (WHERE k.status IN ('failed', 'unknown')) AS failed,
       count(*) FILTER (WHERE k.status IN ('stuck', 'undo-stuck')) AS parked,
       count(*) FILTER (WHERE k.status IN ('running', 'paused', 'undoing', 'undo-paused')) AS open,
       count(*) FILTER (WHERE s.failed_step = k.step) AS turned_here,
       sum(k.do_attempts) AS attempts
  FROM paas.saga s JOIN paas.saga_step k USING (tenant, saga)
 GROUP BY s.definition, s.version, k.stage, k.step;
COMMENT ON VIEW audit.saga_funnel IS 'how many sagas of a definition reached each step';

CREATE VIEW audit.saga_step_timing WITH (security_invoker = true) AS
SELECT s.definition, s.version, k.stage, k.step, count(*) AS ended,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY k.ended_at - k.began_at) AS p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY k.ended_at - k.began_at) AS p95,
       max(k.ended_at - k.began_at) AS max
  FROM paas.saga s JOIN paas.saga_step k USING (tenant, saga)
 WHERE k.ended_at IS NOT NULL
 GROUP BY s.definition, s.version, k.stage, k.step;
COMMENT ON VIEW audit.saga_step_timing IS 'how long each step took, first attempt to end, by event times';

-- All that happened to a saga: its own events, and those of its steps on other topics.
CREATE VIEW audit.saga_history WITH (security_invoker = true) AS
SELECT e.tenant, e.app AS saga, e."time", e.type, e.verdict, e.reason, e.actor, e.data, e.source,
       e.id, e.causationid, e.topic, e.partition, e."offset"
  FROM audit.event e
 WHERE e.topic = 'busline.saga';
COMMENT ON VIEW audit.saga_history IS 'all that a saga was told, in order of its partition';

-- As in 0008, and sagas.
CREATE OR REPLACE VIEW audit.state_row WITH (security_invoker = true) AS
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
       event_source, event_id, updated_at, to_jsonb(t) FROM paas.route_target t
UNION ALL
SELECT 'saga', tenant, NULL, saga, event_source, event_id, updated_at, to_jsonb(t)
  FROM paas.saga t
UNION ALL
SELECT 'saga_step', tenant, NULL, saga || ' ' || step, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.saga_step t;

GRANT SELECT ON ALL TABLES IN SCHEMA audit TO busline_auditor;
