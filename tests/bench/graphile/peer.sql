-- The transfers of tests/support/bank as jobs of graphile-worker: a step is one job. What it does to the
-- account, what the saga remembers of it, and the next step's job are one statement, so one round
-- trip and one commit.
CREATE SCHEMA peer;
CREATE TABLE peer.account (account text PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE peer.saga (saga text PRIMARY KEY, source text NOT NULL, target text NOT NULL,
			amount bigint NOT NULL, status text NOT NULL);
CREATE TABLE peer.saga_step (saga text, step text, status text NOT NULL, ended_at timestamptz,
			     PRIMARY KEY (saga, step));

CREATE FUNCTION peer.step(saga_id text, step_name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s peer.saga;
BEGIN
	INSERT INTO peer.saga_step VALUES (saga_id, step_name, 'DONE', now())
	ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN; -- done before
	END IF;
	SELECT * INTO s FROM peer.saga WHERE saga = saga_id FOR UPDATE;
	IF step_name = 'debit' THEN
		UPDATE peer.account SET balance = balance - s.amount WHERE account = s.source;
		PERFORM graphile_worker.add_job('credit', json_build_object('saga', saga_id));
	ELSE
		UPDATE peer.account SET balance = balance + s.amount WHERE account = s.target;
		UPDATE peer.saga SET status = 'COMPLETED' WHERE saga = saga_id;
	END IF;
END
$$;
