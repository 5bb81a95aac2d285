-- Before the broker's address changes: moves of the bus are found by the address they began at, so
-- from then on they would not be found.
DO $$
BEGIN
	IF EXISTS (SELECT FROM busline.broker_move) THEN
		RAISE EXCEPTION 'the bus has moved to another broker, which is found by the old port '
			'only: start with that one';
	END IF;
END
$$;
