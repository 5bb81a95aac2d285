-- Events promised in a transaction, until the relay has published them.
SET LOCAL ROLE busline_owner;

-- Names that one process at a time may act under. The epoch grows with each new holder and
-- is compared in every statement that acts; the time only says when another may try.
CREATE TABLE busline.lease (
	name       text PRIMARY KEY CHECK (name <> ''),
	epoch      bigint NOT NULL CHECK (epoch >= 1),
	holder     text NOT NULL CHECK (octet_length(holder) BETWEEN 1 AND 63),
	expires_at timestamptz NOT NULL,
	renewed_at timestamptz NOT NULL
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE ON busline.lease TO busline_worker;
GRANT SELECT ON busline.lease TO busline_auditor;

-- Takes the lease if it is free, over, or ours (our_epoch); else says who has it.
-- clock_timestamp, not now(): what counts is the time when the row lock was got.
CREATE FUNCTION busline.lease_take(lease_name text, wanted_by text, lease_ms bigint,
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
GRANT EXECUTE ON FUNCTION busline.lease_take TO busline_worker;

-- Three tables take turns (slot). Rows are never deleted one by one: that would leave dead
-- rows behind, which an old transaction anywhere keeps on disk. A table that is published
-- whole is truncated.
CREATE TABLE busline.outbox (
	seq        bigint NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	stream     int NOT NULL,
	slot       smallint NOT NULL,
	kind       smallint NOT NULL,
	topic      text NOT NULL,
	key        bytea,
	headers    bytea NOT NULL,
	data       bytea
) PARTITION BY LIST (slot);
COMMENT ON COLUMN busline.outbox.kind IS '0 follow-up, 1 sent home to its partition';
CREATE TABLE busline.outbox_0 PARTITION OF busline.outbox FOR VALUES IN (0);
CREATE TABLE busline.outbox_1 PARTITION OF busline.outbox FOR VALUES IN (1);
CREATE TABLE busline.outbox_2 PARTITION OF busline.outbox FOR VALUES IN (2);
-- The relay reads "past number n of stream s", in every slot. Not unique: uniqueness comes
-- from the position row, whose lock gives out the numbers.
CREATE INDEX ON busline.outbox (stream, seq);
GRANT SELECT, INSERT ON busline.outbox TO busline_worker;

-- Where writers put rows now. One row; a hint, not a promise: a slow writer may still go
-- into the slot before, which is why the relay reads all of them.
CREATE TABLE busline.outbox_rotation (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	slot    smallint NOT NULL CHECK (slot BETWEEN 0 AND 2),
	rotated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO busline.outbox_rotation (slot) VALUES (0);
GRANT SELECT ON busline.outbox_rotation TO busline_worker, busline_auditor;

-- Up to which number each stream is in its topics.
CREATE TABLE busline.outbox_mark (
	stream int PRIMARY KEY,
	seq    bigint NOT NULL CHECK (seq >= 0)
) WITH (fillfactor = 70);
GRANT SELECT, INSERT, UPDATE ON busline.outbox_mark TO busline_worker;
GRANT SELECT ON busline.outbox_mark TO busline_auditor;

-- Raises BL001 unless the relay's lease still has this epoch. FOR SHARE: a take-over in
-- progress is waited for, and one that comes later waits until this transaction is over.
CREATE FUNCTION busline.relay_fence(lease_epoch bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM busline.lease WHERE name = 'relay' AND epoch = lease_epoch FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'BL001',
			MESSAGE = format('the lease "relay" has not epoch %s', lease_epoch);
	END IF;
END
$$;
GRANT EXECUTE ON FUNCTION busline.relay_fence TO busline_worker;

-- A mark never goes back: a late answer must not make the relay publish again for long.
CREATE FUNCTION busline.outbox_mark_set(lease_epoch bigint, streams int[], seqs bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM busline.relay_fence(lease_epoch);
	INSERT INTO busline.outbox_mark AS m (stream, seq)
	SELECT u.stream, u.seq FROM unnest(streams, seqs) AS u (stream, seq) ORDER BY 1
	ON CONFLICT (stream) DO UPDATE SET seq = greatest(m.seq, excluded.seq);
END
$$;
GRANT EXECUTE ON FUNCTION busline.outbox_mark_set TO busline_worker;

-- Empties every slot that is published whole, then lets writers go on in an empty one;
-- returns how many tables it truncated.
--
-- Why no row is lost: a writer holds ROW EXCLUSIVE on its slot from its first insert to the
-- end of its transaction. ACCESS EXCLUSIVE, once got, means that no transaction with a row
-- in the slot is unfinished; the look at the rows comes after it, with a snapshot of its own
-- (READ COMMITTED), and sees every row there is. Nobody can add one until the TRUNCATE is
-- committed. A writer that chose the slot before and comes after finds it empty and usable.
--
-- Why nobody waits: NOWAIT. A slot in use is left for the next time; at most one of the
-- three is being filled and writers are turned away from it first.
--
-- Why it stays small under an old transaction: TRUNCATE gives the file back at once, whatever
-- other transactions could still see, and nobody but the relay reads these tables. Only a
-- transaction that has itself touched a slot holds that one.
--
-- A definer's function: TRUNCATE is the owner's. It can do no harm to rows past the mark,
-- whoever calls it.
CREATE FUNCTION busline.outbox_rotate(lease_epoch bigint) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	filling smallint;
	unpublished boolean;
	emptied int := 0;
	free smallint;
BEGIN
	PERFORM busline.relay_fence(lease_epoch);
	SELECT r.slot INTO filling FROM busline.outbox_rotation r FOR UPDATE NOWAIT;
	FOR i IN 0 .. 2 LOOP
		IF pg_relation_size(format('busline.outbox_%s', i)::regclass) = 0 THEN
			free := coalesce(free, nullif(i, filling)::smallint);
			CONTINUE;
		END IF;
		CONTINUE WHEN i = filling;
		BEGIN
			EXECUTE format('LOCK TABLE busline.outbox_%s '
				       'IN ACCESS EXCLUSIVE MODE NOWAIT', i);
			EXECUTE format('SELECT EXISTS (SELECT FROM busline.outbox_%s o '
				       'LEFT JOIN busline.outbox_mark m USING (stream) '
				       'WHERE o.seq > coalesce(m.seq, 0))', i) INTO unpublished;
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
	RETURN 0;
END
$$;
GRANT EXECUTE ON FUNCTION busline.outbox_rotate TO busline_worker;

-- LISTEN takes no parameter; this does.
CREATE FUNCTION busline.listen(channel text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	EXECUTE format('LISTEN %I', channel);
END
$$;
GRANT EXECUTE ON FUNCTION busline.listen TO busline_worker, busline_gateway, busline_auditor;
