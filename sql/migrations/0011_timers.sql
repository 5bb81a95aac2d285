-- Timers: what a worker asks to be told later, and the clock that tells it.
SET LOCAL ROLE busline_owner;

-- Numbers the settings of timers: setting one again makes another, and the clock fires only
-- the one it has seen.
CREATE SEQUENCE busline.timer_number;
GRANT USAGE ON SEQUENCE busline.timer_number TO busline_worker;

-- One row per key and name, until it fires or is cancelled. A timer is relative: the clock
-- measures delay_ms from when it sees the row. due_at is when that ends by PostgreSQL's own
-- clock: for people, and for a clock that starts and finds the row there. After a step of
-- PostgreSQL's clock the running clock corrects due_at.
--
-- xid is the transaction that set it: those that a look could not see yet have one that is at
-- least the look's xmin, so that the next look begins there and misses none.
CREATE TABLE busline.timer (
	xid           bigint NOT NULL,
	number        bigint NOT NULL,
	delay_ms      bigint NOT NULL CHECK (delay_ms BETWEEN 0 AND 3155760000000),
	set_at        timestamptz NOT NULL,
	due_at        timestamptz NOT NULL,
	cause_time    timestamptz,
	stream        int NOT NULL,
	tenant        text NOT NULL CHECK (tenant <> ''),
	subject       text NOT NULL,
	name          text NOT NULL CHECK (name <> ''),
	cause_source  text NOT NULL,
	cause_id      text NOT NULL,
	correlationid text,
	traceparent   text,
	actor         text,
	PRIMARY KEY (stream, tenant, subject, name)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON COLUMN busline.timer.subject IS 'empty: the tenant itself';
COMMENT ON COLUMN busline.timer.cause_id IS 'the event whose fold set it';
-- The clock's way in: what is new, and a row it knows.
CREATE UNIQUE INDEX timer_set ON busline.timer (xid, number);
SELECT busline.tenant_guard('busline.timer');
GRANT SELECT, INSERT, UPDATE, DELETE ON busline.timer TO busline_worker;
GRANT SELECT ON busline.timer TO busline_gateway, busline_auditor;

-- The last sign of life of the clock: a moment by PostgreSQL's clock and by the time since
-- boot of the machine it runs on. A clock that starts on the same machine knows from it
-- whether PostgreSQL's clock has been stepped since. Rows with an xid below seen_xid were known
-- at that moment: their due_at is by this clock.
CREATE TABLE busline.clock (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	boot_id text NOT NULL,
	boot_ms bigint NOT NULL,
	wall_ms bigint NOT NULL,
	seen_xid bigint NOT NULL,
	beat_at timestamptz NOT NULL
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE ON busline.clock TO busline_worker;
GRANT SELECT ON busline.clock TO busline_auditor;

-- Takes timers that fire; all of them, or none: 40001 when one was set again, cancelled, or is
-- just being so. SKIP LOCKED, because a clock that waits for a worker's row could wait in a
-- circle.
CREATE FUNCTION busline.timer_fire(xids bigint[], numbers bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	went bigint;
BEGIN
	WITH due AS MATERIALIZED (
		SELECT t.xid, t.number
		  FROM unnest(xids, numbers) AS w (xid, number)
		  JOIN busline.timer t USING (xid, number)
		   FOR UPDATE OF t SKIP LOCKED
	), gone AS (
		DELETE FROM busline.timer t USING due
		 WHERE t.xid = due.xid AND t.number = due.number
		RETURNING 1
	)
	SELECT count(*) INTO went FROM gone;
	IF went <> cardinality(xids) THEN
		RAISE EXCEPTION USING ERRCODE = '40001',
			MESSAGE = format('%s of %s timers were set again or cancelled meanwhile',
					 cardinality(xids) - went, cardinality(xids));
	END IF;
END
$$;
GRANT EXECUTE ON FUNCTION busline.timer_fire TO busline_worker;

-- The clock's sign of life, and, after a step of PostgreSQL's clock, the due times of all it
-- knows: they change together or not at all. Only the owner of the clock's stream may (BL001).
-- Its locks are waited for shorter than deadlock_timeout, so that the clock and never a worker
-- gives way.
CREATE FUNCTION busline.clock_beat(clock_stream int, clock_epoch bigint, boot text,
				   boot_now_ms bigint, wall_now_ms bigint, look_xmin bigint,
				   xids bigint[], numbers bigint[], dues_ms bigint[])
RETURNS void LANGUAGE plpgsql SET lock_timeout = '200ms' AS $$
BEGIN
	PERFORM FROM busline.position
	  WHERE stream = clock_stream AND epoch = clock_epoch FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'BL001',
			MESSAGE = format('the clock has not epoch %s', clock_epoch);
	END IF;
	UPDATE busline.timer t
	   SET due_at = to_timestamp(w.due_ms / 1000.0)
	  FROM unnest(xids, numbers, dues_ms) AS w (xid, number, due_ms)
	 WHERE t.xid = w.xid AND t.number = w.number;
	INSERT INTO busline.clock AS c (boot_id, boot_ms, wall_ms, seen_xid, beat_at)
	VALUES (boot, boot_now_ms, wall_now_ms, look_xmin, clock_timestamp())
	ON CONFLICT (one) DO UPDATE
	   SET boot_id = excluded.boot_id, boot_ms = excluded.boot_ms,
	       wall_ms = excluded.wall_ms, seen_xid = excluded.seen_xid, beat_at = excluded.beat_at;
END
$$;
GRANT EXECUTE ON FUNCTION busline.clock_beat TO busline_worker;

-- Timers with the names of their streams; overdue is NULL while one is pending.
CREATE VIEW busline.timers WITH (security_invoker = true) AS
SELECT p.topic, p.partition, t.tenant, t.subject, t.name,
       make_interval(secs => t.delay_ms / 1000.0) AS delay, t.set_at, t.due_at,
       CASE WHEN t.due_at <= clock_timestamp() THEN 'overdue' ELSE 'pending' END AS state,
       CASE WHEN t.due_at <= clock_timestamp() THEN clock_timestamp() - t.due_at END AS overdue,
       t.cause_source, t.cause_id, t.correlationid, t.actor
  FROM busline.timer t
  JOIN busline.position p USING (stream);
GRANT SELECT ON busline.timers TO busline_worker, busline_gateway, busline_auditor;

-- A lease that was renewed in the future: the server's clock was set back, and waiting for the
-- old time would mean that nobody acts until then. It may be taken; whoever had it finds
-- another epoch.
CREATE OR REPLACE FUNCTION busline.lease_take(lease_name text, wanted_by text, lease_ms bigint,
					      our_epoch bigint)
RETURNS TABLE (epoch bigint, holder text, left_ms bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	span interval := make_interval(secs => lease_ms / 1000.0);
BEGIN
	RETURN QUERY
	INSERT INTO busline.lease AS l (name, epoch, holder, expires_at, renewed_at)
	VALUES (lease_name, 1, wanted_by, clock_timestamp() + span, clock_timestamp())
	ON CONFLICT (name) DO UPDATE
	   SET epoch = CASE WHEN l.epoch = our_epoch AND l.holder = wanted_by
			    THEN l.epoch ELSE l.epoch + 1 END,
	       holder = wanted_by,
	       expires_at = clock_timestamp() + span,
	       renewed_at = clock_timestamp()
	 WHERE (l.epoch = our_epoch AND l.holder = wanted_by)
	    OR l.expires_at <= clock_timestamp()
	    OR l.renewed_at > clock_timestamp() + interval '1 second'
	RETURNING l.epoch, l.holder, lease_ms;
	IF NOT FOUND THEN
		RETURN QUERY
		SELECT 0::bigint, l.holder,
		       greatest(0, ceil(extract(epoch FROM l.expires_at - clock_timestamp())
					* 1000))::bigint
		  FROM busline.lease l WHERE l.name = lease_name;
	END IF;
END
$$;

-- Incidents about a key, too: one open row per kind, partition and key. Without a key, as
-- before, both are empty.
ALTER TABLE busline.incident
	ADD COLUMN tenant text NOT NULL DEFAULT '',
	ADD COLUMN subject text NOT NULL DEFAULT '';
DROP INDEX busline.incident_open;
CREATE UNIQUE INDEX incident_open
	ON busline.incident (kind, topic, partition, tenant, subject)
	WHERE closed_at IS NULL;
SELECT busline.tenant_guard('busline.incident');
GRANT INSERT (tenant, subject) ON busline.incident TO busline_worker;

-- Closes what a fold has opened about a key. A definer's function: a worker may not close what
-- is about a partition.
CREATE FUNCTION busline.incident_close(kinds text[], streams int[], tenants text[],
				       subjects text[], reasons text[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	UPDATE busline.incident i
	   SET closed_at = now(), closed_by = current_setting('application_name'),
	       close_reason = w.reason
	  FROM unnest(kinds, streams, tenants, subjects, reasons)
	       AS w (kind, stream, tenant, subject, reason)
	  JOIN busline.position p ON p.stream = w.stream
	 WHERE i.kind = w.kind AND i.topic = p.topic AND i.partition = p.partition
	   AND i.tenant = w.tenant AND i.subject = w.subject
	   AND w.tenant <> '' AND i.closed_at IS NULL
$$;
GRANT EXECUTE ON FUNCTION busline.incident_close TO busline_worker;

-- As before, but what is about a key is not solved by moving a position.
CREATE OR REPLACE FUNCTION busline.position_move(topic text, partition int, next_offset bigint,
				      actor text, reason text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	was bigint;
BEGIN
	IF coalesce(actor, '') = '' OR coalesce(reason, '') = '' THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = 'who moves a position, and why, must be said';
	END IF;
	SELECT p.next_offset INTO was FROM busline.position p
	 WHERE p.topic = position_move.topic AND p.partition = position_move.partition
	   FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('no position is stored for %s/%s',
					 position_move.topic, position_move.partition);
	END IF;
	UPDATE busline.position p
	   SET next_offset = position_move.next_offset, updated_at = now()
	 WHERE p.topic = position_move.topic AND p.partition = position_move.partition;
	UPDATE busline.incident i
	   SET closed_at = now(), closed_by = actor,
	       close_reason = format('position moved from %s to %s: %s', was,
				     position_move.next_offset, reason)
	 WHERE i.topic = position_move.topic AND i.partition = position_move.partition
	   AND i.tenant = '' AND i.closed_at IS NULL;
	IF NOT FOUND THEN
		INSERT INTO busline.incident (kind, topic, partition, "offset", detail,
					      closed_at, closed_by, close_reason)
		VALUES ('position-moved', position_move.topic, position_move.partition, was,
			format('moved from %s to %s', was, position_move.next_offset), now(),
			actor, reason);
	END IF;
	RETURN was;
END
$$;
