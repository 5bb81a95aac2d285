-- What an operator may change by hand, and how it is remembered.
SET LOCAL ROLE busline_owner;

-- Moves the position of a partition whose log does not have it any more (retention passed it,
-- the topic was made anew), and closes the incidents about it. The worker that holds the
-- partition sees the new position within seconds and goes on there; if it is busy with a
-- unit, its fence fails and it starts over. Who did it and why stays in the incident. Only
-- the owner's people may: what lies between the two offsets is given up.
CREATE FUNCTION busline.position_move(topic text, partition int, next_offset bigint,
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
	   AND i.closed_at IS NULL;
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
GRANT EXECUTE ON FUNCTION busline.position_move TO busline_migrator;
