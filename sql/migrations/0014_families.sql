-- What the folds of deploy, scale and route remember for sagas: what a step of a saga has done,
-- so that another attempt does not do it twice and a compensation finds it; whether releases and
-- replicas are healthy; quotas; what a route was before.
SET LOCAL ROLE busline_owner;

-- A release can be taken away.
ALTER TABLE paas.release DROP CONSTRAINT release_status_check;
ALTER TABLE paas.release ADD CONSTRAINT release_status_check CHECK
	(status IN ('requested', 'started', 'succeeded', 'failed', 'retiring', 'retired'));

-- The release that a step of a saga made.
CREATE TABLE paas.deploy_step (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	sagaid       text COLLATE "C" NOT NULL CHECK (sagaid <> ''),
	step         text COLLATE "C" NOT NULL CHECK (step <> ''),
	release      bigint NOT NULL CHECK (release >= 1),
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, sagaid, step)
) WITH (fillfactor = 85);

-- Whether a release is healthy, as last asked.
CREATE TABLE paas.release_check (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	release      bigint NOT NULL CHECK (release >= 1),
	status       text NOT NULL CHECK (status IN ('requested', 'verified', 'failed')),
	reason       text,
	requested_by text,
	requested_at timestamptz,
	finished_at  timestamptz,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, release)
) WITH (fillfactor = 85);

-- What was wanted of a process before a step of a saga scaled it; nothing, if that was the
-- first time.
CREATE TABLE paas.scale_step (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	sagaid       text COLLATE "C" NOT NULL CHECK (sagaid <> ''),
	step         text COLLATE "C" NOT NULL CHECK (step <> ''),
	process      text COLLATE "C" NOT NULL CHECK (process <> ''),
	version      bigint NOT NULL CHECK (version >= 1),
	desired_before bigint,
	min_before   bigint,
	max_before   bigint,
	status       text NOT NULL CHECK (status IN ('applied', 'reverted')),
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, sagaid, step)
) WITH (fillfactor = 85);

-- Whether all replicas of a process work, as last asked.
CREATE TABLE paas.scale_check (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	process      text COLLATE "C" NOT NULL CHECK (process <> ''),
	status       text NOT NULL CHECK (status IN ('requested', 'verified', 'failed')),
	reason       text,
	requested_by text,
	requested_at timestamptz,
	finished_at  timestamptz,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, process)
) WITH (fillfactor = 85);

-- How many replicas of a process sagas may reserve, and have reserved. The limit may be set
-- below what is reserved: then no more is.
CREATE TABLE paas.quota (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	process      text COLLATE "C" NOT NULL CHECK (process <> ''),
	replicas_max bigint NOT NULL CHECK (replicas_max >= 0),
	reserved     bigint NOT NULL CHECK (reserved >= 0),
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, process)
) WITH (fillfactor = 85);

-- What a step of a saga has reserved, or gave back.
CREATE TABLE paas.quota_step (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	sagaid       text COLLATE "C" NOT NULL CHECK (sagaid <> ''),
	step         text COLLATE "C" NOT NULL CHECK (step <> ''),
	process      text COLLATE "C" NOT NULL CHECK (process <> ''),
	replicas     bigint NOT NULL CHECK (replicas >= 0),
	status       text NOT NULL CHECK (status IN ('reserved', 'released')),
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, sagaid, step)
) WITH (fillfactor = 85);

-- The version of a route that a step of a saga made, and the one before it; none, if there was
-- no route.
CREATE TABLE paas.route_step (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	sagaid       text COLLATE "C" NOT NULL CHECK (sagaid <> ''),
	step         text COLLATE "C" NOT NULL CHECK (step <> ''),
	host         text COLLATE "C" NOT NULL CHECK (host <> ''),
	version      bigint NOT NULL CHECK (version >= 1),
	version_before bigint,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, sagaid, step)
) WITH (fillfactor = 85);

-- A version says its targets, so that a fold can go back to them: it can look up rows by key
-- only, and the releases are part of the targets' keys. By release, as the fold writes them.
-- `restores`: the earlier version whose targets these are again.
ALTER TABLE paas.route_version
	ADD COLUMN targets jsonb CHECK (jsonb_typeof(targets) = 'array'),
	ADD COLUMN restores bigint CHECK (restores BETWEEN 1 AND version - 1);
UPDATE paas.route_version v
   SET targets = (SELECT jsonb_agg(jsonb_build_object('release', t.release, 'weight', t.weight)
				   ORDER BY t.release)
		    FROM paas.route_target t
		   WHERE t.tenant = v.tenant AND t.app = v.app AND t.host = v.host
		     AND t.version = v.version);

DO $$
DECLARE
	guarded text;
BEGIN
	FOREACH guarded IN ARRAY ARRAY['deploy_step', 'release_check', 'scale_step', 'scale_check',
				       'quota', 'quota_step', 'route_step']
	LOOP
		PERFORM busline.tenant_guard(format('paas.%I', guarded)::regclass);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE ON paas.%I TO busline_worker', guarded);
		EXECUTE format('GRANT SELECT ON paas.%I TO busline_gateway, busline_auditor', guarded);
	END LOOP;
END
$$;

-- The list of all state has the new tables, too.
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
       to_jsonb(t) FROM paas.saga_step t
UNION ALL
SELECT 'deploy_step', tenant, app, sagaid || ' ' || step, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.deploy_step t
UNION ALL
SELECT 'release_check', tenant, app, 'v' || release, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.release_check t
UNION ALL
SELECT 'scale_step', tenant, app, sagaid || ' ' || step, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.scale_step t
UNION ALL
SELECT 'scale_check', tenant, app, process, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.scale_check t
UNION ALL
SELECT 'quota', tenant, app, process, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.quota t
UNION ALL
SELECT 'quota_step', tenant, app, sagaid || ' ' || step, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.quota_step t
UNION ALL
SELECT 'route_step', tenant, app, sagaid || ' ' || step, event_source, event_id, updated_at,
       to_jsonb(t) FROM paas.route_step t;
