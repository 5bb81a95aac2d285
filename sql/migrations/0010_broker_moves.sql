-- Where the bus is: moves of all topics from one broker to another.
SET LOCAL ROLE busline_owner;

-- Forwarding addresses. A move is this row: until it is committed the bus is where it was, from
-- then on it is at to_url, with the same topics, partitions and offsets, so that positions,
-- ledger and identities stay true. Processes know an address from their settings, follow the
-- moves from there, and look again while they run.
CREATE TABLE busline.broker_move (
	id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	moved_at timestamptz NOT NULL DEFAULT now(),
	from_url text NOT NULL CHECK (from_url <> ''),
	to_url   text NOT NULL CHECK (octet_length(to_url) BETWEEN 1 AND 1023),
	actor    text NOT NULL CHECK (actor <> ''),
	reason   text NOT NULL,
	CHECK (from_url <> to_url)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON busline.broker_move
	FOR EACH STATEMENT EXECUTE FUNCTION busline.ledger_refuse();
ALTER TABLE busline.broker_move ENABLE ALWAYS TRIGGER append_only;
GRANT SELECT ON busline.broker_move TO busline_worker, busline_gateway, busline_auditor;

-- Where the bus is for somebody whose settings say `configured`. Moves are followed in their
-- order, each at most once: one that leads back leads back.
CREATE FUNCTION busline.broker_url(configured text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	url text := configured;
	move record;
BEGIN
	FOR move IN SELECT m.from_url, m.to_url FROM busline.broker_move m ORDER BY m.id LOOP
		IF move.from_url = url THEN
			url := move.to_url;
		END IF;
	END LOOP;
	RETURN url;
END
$$;
GRANT EXECUTE ON FUNCTION busline.broker_url TO busline_worker, busline_gateway, busline_auditor;

-- The commit point of a move. Only under the lease named "migrate-broker" (BL001), and only from
-- where the bus is (BL003): one that has gone elsewhere must not be called from a place where
-- nobody is. The lease's row is locked until the end: who takes the lease anew, under the next
-- epoch, knows from then on whether this happened.
CREATE FUNCTION busline.broker_move_record(lease_epoch bigint, from_url text, to_url text,
					   actor text, reason text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	moved bigint;
BEGIN
	PERFORM FROM busline.lease WHERE name = 'migrate-broker' AND epoch = lease_epoch
	    FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = 'BL001',
			MESSAGE = format('the lease "migrate-broker" has not epoch %s',
					 lease_epoch);
	END IF;
	IF busline.broker_url(from_url) <> from_url THEN
		RAISE EXCEPTION USING ERRCODE = 'BL003',
			MESSAGE = format('the bus is not at %s any more, it is at %s', from_url,
					 busline.broker_url(from_url));
	END IF;
	INSERT INTO busline.broker_move AS m (from_url, to_url, actor, reason)
	VALUES (from_url, to_url, actor, reason) RETURNING m.id INTO moved;
	RETURN moved;
END
$$;
GRANT EXECUTE ON FUNCTION busline.broker_move_record TO busline_migrator;
