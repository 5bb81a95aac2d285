-- Roles, schemas, the table of migrations, and the guard of tenant tables.

-- Roles belong to the whole cluster: another database of it may have made them already.
-- They are groups without login; people and processes are made members of one. A role that
-- could step over row-level security would make every policy below worthless: refused.
DO $$
DECLARE
	wanted text;
	mighty text;
BEGIN
	FOREACH wanted IN ARRAY ARRAY['busline_owner', 'busline_migrator', 'busline_worker',
				      'busline_gateway', 'busline_auditor']
	LOOP
		IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
			BEGIN
				EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
			EXCEPTION WHEN duplicate_object OR unique_violation THEN
				NULL; -- another database was faster
			END;
		END IF;
	END LOOP;
	SELECT rolname INTO mighty FROM pg_catalog.pg_roles
	 WHERE rolname IN ('busline_owner', 'busline_migrator', 'busline_worker',
			   'busline_gateway', 'busline_auditor')
	   AND (rolsuper OR rolbypassrls);
	IF FOUND THEN
		RAISE EXCEPTION 'role % is superuser or has BYPASSRLS: take that away first',
			mighty;
	END IF;
	IF NOT pg_has_role('busline_migrator', 'busline_owner', 'MEMBER') THEN
		GRANT busline_owner TO busline_migrator;
	END IF;
	-- Who migrates without being a superuser acts for the owner through the migrator.
	IF NOT pg_has_role(session_user, 'busline_migrator', 'MEMBER') THEN
		EXECUTE format('GRANT busline_migrator TO %I', session_user);
	END IF;
END
$$;

CREATE SCHEMA busline AUTHORIZATION busline_owner;
CREATE SCHEMA paas AUTHORIZATION busline_owner;
CREATE SCHEMA audit AUTHORIZATION busline_owner;

-- The database is the platform's own: nobody comes in, and nobody makes temporary tables
-- (which could stand in front of real ones), unless a role below says so. Only the owner of
-- the database can do this; another migrator leaves it to him.
DO $$
BEGIN
	IF (SELECT pg_has_role(datdba, 'MEMBER') FROM pg_catalog.pg_database
	     WHERE datname = current_database())
	THEN
		EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
		EXECUTE format('GRANT CONNECT ON DATABASE %I TO busline_migrator, '
			       'busline_worker, busline_gateway, busline_auditor',
			       current_database());
	END IF;
END
$$;

-- From here on the owner acts, so that everything belongs to a role nobody logs in as.
SET LOCAL ROLE busline_owner;

-- PostgreSQL lets everybody execute every new function; a definer's function must not.
ALTER DEFAULT PRIVILEGES FOR ROLE busline_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA busline, paas TO busline_worker, busline_gateway, busline_auditor;
GRANT USAGE ON SCHEMA audit TO busline_auditor;

-- What was applied, by whose content: a file changed after the fact is found out.
CREATE TABLE busline.migration (
	number     int PRIMARY KEY CHECK (number >= 1),
	name       text NOT NULL UNIQUE,
	sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
	applied_at timestamptz NOT NULL DEFAULT now()
);
-- Every connection looks here whether it fits the schema.
GRANT SELECT ON busline.migration TO busline_worker, busline_gateway, busline_auditor;

-- Row-level security of one table with a tenant column; used by every migration that makes
-- one, and for each new ledger partition. FORCE, because without it the owner (and each
-- view of the owner) sees everything. The setting is read with nullif: after SET LOCAL ends
-- it is '' and not NULL, which must mean "no tenant" and never "the tenant named ''".
CREATE FUNCTION busline.tenant_guard(guarded regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
	EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
	EXECUTE format('CREATE POLICY platform ON %s FOR ALL '
		       'TO busline_owner, busline_migrator, busline_worker '
		       'USING (true) WITH CHECK (true)', guarded);
	EXECUTE format('CREATE POLICY gateway ON %s FOR SELECT TO busline_gateway '
		       'USING (tenant = nullif(current_setting(''busline.tenant'', true), ''''))',
		       guarded);
	EXECUTE format('CREATE POLICY auditor ON %s FOR SELECT TO busline_auditor '
		       'USING (nullif(current_setting(''busline.tenant'', true), '''') IS NULL '
		       'OR tenant = current_setting(''busline.tenant'', true))', guarded);
END
$$;
