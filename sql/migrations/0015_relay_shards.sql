-- Several relays at once: the streams of the outbox are divided into shards, and the shards
-- among the relays that live.
SET LOCAL ROLE busline_owner;

-- The relays. A row is a heartbeat: past expires_at the relay counts as dead, and its shards go
-- to others. One row is renewed, however many shards a relay has.
CREATE TABLE busline.relay (
	holder     text PRIMARY KEY CHECK (octet_length(holder) BETWEEN 1 AND 63),
	since      timestamptz NOT NULL DEFAULT clock_timestamp(),
	expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE, DELETE ON busline.relay TO busline_worker;
GRANT SELECT ON busline.relay TO busline_auditor;

-- The shard of a stream. Every event of a key comes from one stream, so a shard has whole keys.
CREATE FUNCTION busline.relay_shard_of(stream int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT stream & 15';
GRANT EXECUTE ON FUNCTION busline.relay_shard_of TO busline_worker, busline_auditor;

-- Who has a shard. The epoch grows with each new holder and is compared in the statement that
-- marks; that the holder lives is said by its row in busline.relay. Sixteen: as many relays can
-- work at once, and few enough that a mark locks them all.
CREATE TABLE busline.relay_shard (
	shard  int PRIMARY KEY CHECK (shard BETWEEN 0 AND 15),
	epoch  bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
	holder text,
	since  timestamptz
) WITH (fillfactor = 50);
COMMENT ON COLUMN busline.relay_shard.holder IS 'NULL: given up, for whoever comes first';
INSERT INTO busline.relay_shard (shard) SELECT generate_series(0, 15);
GRANT SELECT, UPDATE ON busline.relay_shard TO busline_worker;
GRANT SELECT ON busline.relay_shard TO busline_auditor;

-- A relay's heartbeat. It says that it lives, gives up the shards named (whose rows it has
-- settled and marked), and takes free ones up to its share: shards divided by relays that live,
-- the older ones getting one more where that leaves a rest. Shares add up to all shards, so once
-- everybody has given up what is too much, everybody gets its share. Says which shards the relay
-- has now, how many it should have, and when the next other relay could be dead; one row without
-- a shard if it has none.
-- One at a time (the lock), so that two do not count each other wrong; every statement below has
-- a snapshot of its own and sees what the one before has done. clock_timestamp, not now(): what
-- counts is the time when the lock was got.
CREATE FUNCTION busline.relay_renew(me text, lease_ms bigint, given int[])
RETURNS TABLE (shard int, epoch bigint, share int, others_ms bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	span interval := make_interval(secs => lease_ms / 1000.0);
	living int;
	elders int;
	mine int;
	other_ends timestamptz;
	wanted int;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('busline.relay'));
	INSERT INTO busline.relay AS r (holder, expires_at)
	VALUES (me, clock_timestamp() + span)
	ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at;
	DELETE FROM busline.relay r WHERE r.expires_at <= clock_timestamp();
	UPDATE busline.relay_shard s SET holder = NULL
	 WHERE s.holder = me AND s.shard = ANY (given);

	SELECT count(*), count(*) FILTER (WHERE (r.since, r.holder) < (own.since, own.holder)),
	       min(r.expires_at) FILTER (WHERE r.holder <> me)
	  INTO living, elders, other_ends
	  FROM busline.relay r, busline.relay own WHERE own.holder = me;
	wanted := 16 / living + (elders < 16 % living)::int;
	SELECT count(*) INTO mine FROM busline.relay_shard s WHERE s.holder = me;
	UPDATE busline.relay_shard s
	   SET epoch = s.epoch + 1, holder = me, since = clock_timestamp()
	 WHERE s.shard IN (SELECT f.shard FROM busline.relay_shard f
			    WHERE NOT EXISTS (SELECT FROM busline.relay r WHERE r.holder = f.holder)
			    ORDER BY f.shard LIMIT greatest(0, wanted - mine));

	RETURN QUERY
	SELECT s.shard, s.epoch, wanted,
	       CASE WHEN other_ends IS NOT NULL THEN
		    greatest(0, ceil(extract(epoch FROM other_ends - clock_timestamp()) * 1000))
	       END::bigint
	  FROM (SELECT) one LEFT JOIN busline.relay_shard s ON s.holder = me;
END
$$;
GRANT EXECUTE ON FUNCTION busline.relay_renew TO busline_worker;

-- The relay ends; what it has is free at once.
CREATE FUNCTION busline.relay_leave(me text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(hashtext('busline.relay'));
	UPDATE busline.relay_shard SET holder = NULL WHERE holder = me;
	DELETE FROM busline.relay WHERE holder = me;
END
$$;
GRANT EXECUTE ON FUNCTION busline.relay_leave TO busline_worker;

-- The fence of many shards instead of one lease. A mark counts if its stream's shard still has
-- the epoch under which the rows were read; the others are left out, and the bits of their
-- shards are the answer. So a shard that is lost costs the marks of no other. FOR SHARE: a
-- take-over in progress is waited for and then seen, and one that comes later waits until this
-- transaction is over. A mark never goes back: a late answer must not make a relay publish again
-- for long.
DROP FUNCTION busline.outbox_mark_set;
DROP FUNCTION busline.outbox_rotate;
DROP FUNCTION busline.relay_fence;
DELETE FROM busline.lease WHERE name = 'relay';
CREATE FUNCTION busline.outbox_mark_set(streams int[], seqs bigint[], epochs bigint[])
RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	held int[];
	lost int;
BEGIN
	SELECT coalesce(array_agg(f.shard), '{}') INTO held
	  FROM (SELECT s.shard FROM busline.relay_shard s
		 WHERE EXISTS (SELECT FROM unnest(streams, epochs) AS u (stream, epoch)
				WHERE busline.relay_shard_of(u.stream) = s.shard
				  AND u.epoch = s.epoch)
		 ORDER BY s.shard FOR SHARE) f;
	INSERT INTO busline.outbox_mark AS m (stream, seq)
	SELECT u.stream, u.seq FROM unnest(streams, seqs) AS u (stream, seq)
	 WHERE busline.relay_shard_of(u.stream) = ANY (held)
	 ORDER BY 1
	ON CONFLICT (stream) DO UPDATE SET seq = greatest(m.seq, excluded.seq);
	SELECT coalesce(bit_or(1 << busline.relay_shard_of(u.stream)), 0) INTO lost
	  FROM unnest(streams) AS u (stream)
	 WHERE busline.relay_shard_of(u.stream) <> ALL (held);
	RETURN lost;
END
$$;
GRANT EXECUTE ON FUNCTION busline.outbox_mark_set TO busline_worker;

-- Empties every slot that is published whole, then lets writers go on in an empty one; returns
-- how many tables it truncated. Any relay may, without a fence: nothing past a mark goes, whose
-- ever the mark is, and no relay reads what is before its own marks. So a table goes when the
-- last relay with rows in it has marked them, and whoever looks next empties it.
--
-- Why no row is lost: a writer holds ROW EXCLUSIVE on its slot from its first insert to the end
-- of its transaction. ACCESS EXCLUSIVE, once got, means that no transaction with a row in the
-- slot is unfinished; the look at rows and marks comes after it, with a snapshot of its own
-- (READ COMMITTED), and sees every row there is. Nobody can add one until the TRUNCATE is
-- committed. A writer that chose the slot before and comes after finds it empty and usable.
--
-- Why nobody waits for long: a writer's transaction has no limit, a relay's read takes some
-- milliseconds. With several relays one of them nearly always reads, so the lock is waited for,
-- for as long as such a read; behind the wait only other reads queue, since writers are turned
-- away from a slot before it is emptied. What is still in use then is left for the next time.
--
-- Why it stays small under an old transaction: TRUNCATE gives the file back at once, whatever
-- other transactions could still see, and nobody but relays reads these tables. Only a
-- transaction that has itself touched a slot holds that one.
--
-- A definer's function: TRUNCATE is the owner's.
CREATE FUNCTION busline.outbox_rotate() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET lock_timeout = '20ms' AS $$
DECLARE
	filling smallint;
	unpublished boolean;
	emptied int := 0;
	free smallint;
BEGIN
	SELECT r.slot INTO filling FROM busline.outbox_rotation r FOR UPDATE NOWAIT;
	FOR i IN 0 .. 2 LOOP
		IF pg_relation_size(format('busline.outbox_%s', i)::regclass) = 0 THEN
			free := coalesce(free, nullif(i, filling)::smallint);
			CONTINUE;
		END IF;
		CONTINUE WHEN i = filling;
		BEGIN
			EXECUTE format('LOCK TABLE busline.outbox_%s IN ACCESS EXCLUSIVE MODE', i);
			-- a look per stream, not one per row, while the table is locked
			EXECUTE format('SELECT EXISTS (SELECT FROM busline.position p '
				       'LEFT JOIN busline.outbox_mark m USING (stream) '
				       'WHERE EXISTS (SELECT FROM busline.outbox_%s o '
				       'WHERE o.stream = p.stream AND o.seq > coalesce(m.seq, 0)))', i)
			   INTO unpublished;
			IF NOT unpublished THEN
				EXECUTE format('TRUNCATE busline.outbox_%s', i);
				emptied := emptied + 1;
				free := coalesce(free, i::smallint);
			END IF;
		EXCEPTION WHEN lock_not_available THEN
			NULL; -- in use; the next time
		END;
	END LOOP;
	IF free IS NOT NULL
	   AND pg_relation_size(format('busline.outbox_%s', filling)::regclass) > 0
	THEN
		UPDATE busline.outbox_rotation SET slot = free, rotated_at = now();
	END IF;
	RETURN emptied;
EXCEPTION WHEN lock_not_available THEN
	RETURN 0; -- another relay is at it
END
$$;
GRANT EXECUTE ON FUNCTION busline.outbox_rotate TO busline_worker;

-- Which relay has which shards, and how much of the outbox waits in them. A row without a holder
-- is of shards that nobody alive has.
CREATE VIEW busline.relays WITH (security_invoker = true) AS
SELECT r.holder, r.since, r.expires_at > clock_timestamp() AS alive,
       array_agg(s.shard ORDER BY s.shard) FILTER (WHERE s.shard IS NOT NULL) AS shards,
       count(s.shard)::int AS shard_count,
       coalesce(sum(w.waiting), 0)::bigint AS waiting
  FROM busline.relay r
  FULL JOIN busline.relay_shard s ON s.holder = r.holder
  LEFT JOIN (SELECT busline.relay_shard_of(p.stream) AS shard,
		    sum(p.outbox_seq - coalesce(m.seq, 0)) AS waiting
	       FROM busline.position p LEFT JOIN busline.outbox_mark m USING (stream)
	      GROUP BY 1) w USING (shard)
 GROUP BY r.holder, r.since, r.expires_at;
GRANT SELECT ON busline.relays TO busline_worker, busline_auditor;
