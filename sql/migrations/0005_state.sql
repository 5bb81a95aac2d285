-- Platform state: what the folds of the events make of it. Each table has one worker that
-- writes it. No foreign keys between keys: events of different keys have no order. Times are
-- event times, and an event may come without one. The checks state what no fold may break;
-- an event that leads past one becomes a dead letter. Keys are compared byte by byte (COLLATE
-- "C"): faster, and in the same order on every machine.
SET LOCAL ROLE busline_owner;

CREATE TABLE paas.tenant (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	name         text NOT NULL,
	plan         text,
	created_at   timestamptz,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant)
) WITH (fillfactor = 85);

-- A row outlives its app: deleted_at says since when there is none.
CREATE TABLE paas.app (
	tenant        text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app           text COLLATE "C" NOT NULL CHECK (app <> ''),
	description   text,
	owner         text,
	created_at    timestamptz,
	deleted_at    timestamptz,
	delete_reason text,
	event_source  text NOT NULL,
	event_id      text NOT NULL,
	updated_at    timestamptz,
	PRIMARY KEY (tenant, app)
) WITH (fillfactor = 85);

CREATE TABLE paas.artifact (
	tenant        text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app           text COLLATE "C" NOT NULL CHECK (app <> ''),
	digest        text COLLATE "C" NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
	image         text NOT NULL,
	size_bytes    bigint CHECK (size_bytes >= 0),
	source_commit text,
	registered_at timestamptz,
	event_source  text NOT NULL,
	event_id      text NOT NULL,
	updated_at    timestamptz,
	PRIMARY KEY (tenant, app, digest)
) WITH (fillfactor = 85);

CREATE TABLE paas.deployment (
	tenant           text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app              text COLLATE "C" NOT NULL CHECK (app <> ''),
	latest_release   bigint NOT NULL CHECK (latest_release >= 1),
	current_release  bigint,
	previous_release bigint,
	event_source     text NOT NULL,
	event_id         text NOT NULL,
	updated_at       timestamptz,
	PRIMARY KEY (tenant, app),
	CHECK (current_release BETWEEN 1 AND latest_release),
	CHECK (previous_release BETWEEN 1 AND latest_release)
) WITH (fillfactor = 85);

CREATE TABLE paas.release (
	tenant          text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app             text COLLATE "C" NOT NULL CHECK (app <> ''),
	number          bigint NOT NULL CHECK (number >= 1),
	kind            text NOT NULL CHECK (kind IN ('deploy', 'rollback')),
	rollback_to     bigint,
	image           text NOT NULL,
	command         jsonb CHECK (jsonb_typeof(command) = 'array'),
	environment     jsonb CHECK (jsonb_typeof(environment) = 'object'),
	artifact_digest text,
	status          text NOT NULL
		CHECK (status IN ('requested', 'started', 'succeeded', 'failed')),
	reason          text,
	requested_by    text,
	requested_at    timestamptz,
	started_at      timestamptz,
	finished_at     timestamptz,
	event_source    text NOT NULL,
	event_id        text NOT NULL,
	updated_at      timestamptz,
	PRIMARY KEY (tenant, app, number),
	CHECK ((kind = 'rollback') = (rollback_to IS NOT NULL)),
	CHECK (rollback_to BETWEEN 1 AND number - 1)
) WITH (fillfactor = 85);

CREATE TABLE paas.scale (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	process      text COLLATE "C" NOT NULL CHECK (process <> ''),
	desired      bigint NOT NULL,
	observed     bigint CHECK (observed >= 0),
	min          bigint NOT NULL CHECK (min >= 0),
	max          bigint NOT NULL,
	version      bigint NOT NULL CHECK (version >= 1),
	status       text NOT NULL CHECK (status IN ('requested', 'succeeded', 'failed')),
	reason       text,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, process),
	CHECK (desired BETWEEN min AND max)
) WITH (fillfactor = 85);

CREATE TABLE paas.route (
	tenant          text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app             text COLLATE "C" NOT NULL CHECK (app <> ''),
	host            text COLLATE "C" NOT NULL CHECK (host <> ''),
	wanted_version  bigint NOT NULL CHECK (wanted_version >= 1),
	applied_version bigint,
	event_source    text NOT NULL,
	event_id        text NOT NULL,
	updated_at      timestamptz,
	PRIMARY KEY (tenant, app, host),
	CHECK (applied_version BETWEEN 1 AND wanted_version)
) WITH (fillfactor = 85);

CREATE TABLE paas.route_version (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	host         text COLLATE "C" NOT NULL CHECK (host <> ''),
	version      bigint NOT NULL CHECK (version >= 1),
	status       text NOT NULL CHECK (status IN ('requested', 'changed', 'failed')),
	reason       text,
	requested_by text,
	requested_at timestamptz,
	finished_at  timestamptz,
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, host, version)
) WITH (fillfactor = 85);

CREATE TABLE paas.route_target (
	tenant       text COLLATE "C" NOT NULL CHECK (tenant <> ''),
	app          text COLLATE "C" NOT NULL CHECK (app <> ''),
	host         text COLLATE "C" NOT NULL CHECK (host <> ''),
	version      bigint NOT NULL CHECK (version >= 1),
	release      bigint NOT NULL CHECK (release >= 1),
	weight       bigint NOT NULL CHECK (weight BETWEEN 0 AND 100),
	event_source text NOT NULL,
	event_id     text NOT NULL,
	updated_at   timestamptz,
	PRIMARY KEY (tenant, app, host, version, release)
) WITH (fillfactor = 85);

-- Tenants are kept apart in every table of this schema, and the workers write them.
DO $$
DECLARE
	guarded regclass;
BEGIN
	FOR guarded IN SELECT oid FROM pg_catalog.pg_class
			WHERE relnamespace = 'paas'::regnamespace AND relkind = 'r'
	LOOP
		PERFORM busline.tenant_guard(guarded);
		EXECUTE format('GRANT SELECT, INSERT, UPDATE ON %s TO busline_worker', guarded);
		EXECUTE format('GRANT SELECT ON %s TO busline_gateway, busline_auditor', guarded);
	END LOOP;
END
$$;
