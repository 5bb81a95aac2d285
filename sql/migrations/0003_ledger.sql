-- What happened: every event that counts, whole, append-only, hash-chained per stream.
SET LOCAL ROLE busline_owner;

CREATE TYPE busline.verdict AS ENUM ('APPLIED', 'IGNORED', 'REJECTED', 'REROUTED');

-- Partitioned by the time of writing: only one partition is hot, old ones can be compressed
-- or moved away whole. BRIN and nothing else: a btree on the hot path costs up to a third of
-- the throughput. Narrow columns stand first, so that no byte is lost to alignment. headers
-- and data are the received bytes; every hash is over them.
CREATE TABLE busline.ledger (
	"offset"      bigint NOT NULL,
	"time"        timestamptz,
	record_time   timestamptz,
	recorded_at   timestamptz NOT NULL DEFAULT now(),
	stream        int NOT NULL,
	verdict       busline.verdict NOT NULL,
	hash          bytea NOT NULL,
	source        text,
	id            text,
	tenant        text,
	type          text,
	subject       text,
	actor         text,
	correlationid text,
	causationid   text,
	traceparent   text,
	reason        text,
	key           bytea,
	headers       bytea NOT NULL,
	data          bytea
) PARTITION BY RANGE (recorded_at);
COMMENT ON COLUMN busline.ledger."time" IS 'event time, as its producer says';
COMMENT ON COLUMN busline.ledger.record_time IS 'when the broker took it';
COMMENT ON COLUMN busline.ledger.headers IS
	'be32 count, then name and value of each as be32 length and bytes';

-- autosummarize: without it the newest ranges stay unsummarised and are read whole.
CREATE INDEX ledger_recorded_at ON busline.ledger USING brin (recorded_at)
	WITH (autosummarize = on, pages_per_range = 32);
CREATE INDEX ledger_offset ON busline.ledger USING brin (stream, "offset")
	WITH (autosummarize = on, pages_per_range = 32);

-- Append-only also for the owner. Per statement, so that inserts pay nothing.
CREATE FUNCTION busline.ledger_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RAISE EXCEPTION USING ERRCODE = 'BL002',
		MESSAGE = format('%I.%I is append-only: %s refused', TG_TABLE_SCHEMA,
				 TG_TABLE_NAME, TG_OP);
END
$$;

-- Statement triggers and policies of the parent do not hold for a partition that is named
-- directly: each one gets its own. ALWAYS, or session_replication_role would switch it off.
CREATE FUNCTION busline.ledger_guard(guarded regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM busline.tenant_guard(guarded);
	EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
		       'FOR EACH STATEMENT EXECUTE FUNCTION busline.ledger_refuse()', guarded);
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', guarded);
END
$$;
SELECT busline.ledger_guard('busline.ledger');

-- If nobody made the month's partition, rows go here: nothing is ever refused.
CREATE TABLE busline.ledger_default PARTITION OF busline.ledger DEFAULT;
SELECT busline.ledger_guard('busline.ledger_default');

-- Makes the partitions of this month and of months_ahead more; returns how many it made. A
-- definer's function, because workers own nothing. ATTACH instead of CREATE ... PARTITION OF:
-- it lets writers go on. A month that has rows in the default partition stays there (moving
-- them would be the DELETE that is refused). No lock is waited for long: there is time until
-- the month begins, and the default partition after that.
CREATE FUNCTION busline.ledger_partitions_ensure(months_ahead int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '1s' AS $$
DECLARE
	begins timestamptz;
	ends timestamptz;
	leaf text;
	made int := 0;
BEGIN
	IF months_ahead NOT BETWEEN 0 AND 24 THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'months_ahead must be 0 to 24';
	END IF;
	FOR i IN 0 .. months_ahead LOOP
		begins := date_trunc('month', now()) + make_interval(months => i);
		ends := begins + interval '1 month';
		leaf := 'ledger_' || to_char(begins, 'YYYY_MM');
		CONTINUE WHEN to_regclass('busline.' || leaf) IS NOT NULL;
		PERFORM pg_advisory_xact_lock(hashtext('busline.ledger_partitions_ensure'));
		CONTINUE WHEN to_regclass('busline.' || leaf) IS NOT NULL
			   OR EXISTS (SELECT FROM busline.ledger_default
				       WHERE recorded_at >= begins AND recorded_at < ends);
		EXECUTE format('CREATE TABLE busline.%I (LIKE busline.ledger INCLUDING ALL)',
			       leaf);
		PERFORM busline.ledger_guard(format('busline.%I', leaf)::regclass);
		EXECUTE format('ALTER TABLE busline.ledger ATTACH PARTITION busline.%I '
			       'FOR VALUES FROM (%L) TO (%L)', leaf, begins, ends);
		made := made + 1;
	END LOOP;
	RETURN made;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
	RETURN 0;
END
$$;
GRANT EXECUTE ON FUNCTION busline.ledger_partitions_ensure TO busline_worker;

-- The same for a session of any role: one that may not make partitions does nothing. A query
-- with CASE would not do: the right to a function is asked for before the branch is chosen.
CREATE FUNCTION busline.session_partitions(months_ahead int) RETURNS int
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF has_function_privilege('busline.ledger_partitions_ensure(int)', 'EXECUTE') THEN
		RETURN busline.ledger_partitions_ensure(months_ahead);
	END IF;
	RETURN 0;
END
$$;
GRANT EXECUTE ON FUNCTION busline.session_partitions
   TO busline_migrator, busline_worker, busline_gateway, busline_auditor;

-- By the parent only; a partition has no grants of its own.
GRANT SELECT, INSERT ON busline.ledger TO busline_worker;
GRANT SELECT ON busline.ledger TO busline_gateway, busline_auditor;
