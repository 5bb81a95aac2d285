-- Keys that are held: an event that PostgreSQL refuses again and again for a reason that may
-- pass, or that ends the worker each time, stops its own key and nothing else.

-- The verdict of an event that waits. No statement of this transaction uses the value, which
-- is what PostgreSQL asks of a value that is added inside one; texts are compared below.
ALTER TYPE busline.verdict ADD VALUE 'HELD';
SET LOCAL ROLE busline_owner;

-- Assignments since the last unit that was committed: a position that is given out again and
-- again without progress has an event that ends its workers.
ALTER TABLE busline.position
	ADD COLUMN idle_assignments int NOT NULL DEFAULT 0 CHECK (idle_assignments >= 0);
COMMENT ON COLUMN busline.position.idle_assignments IS
	'owners since the last progress that did not leave in order; from the third on events go '
	'one by one';
GRANT UPDATE (idle_assignments) ON busline.position TO busline_worker;

-- The same fence, which now also says that there was progress.
CREATE OR REPLACE FUNCTION busline.fence(streams int[], epochs bigint[], expected bigint[],
					 next_offsets bigint[], outbox_seqs bigint[],
					 heads bytea[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	moved int[];
	culprit int;
BEGIN
	WITH u AS (
		UPDATE busline.position p
		   SET next_offset = w.next_offset, outbox_seq = w.outbox_seq, head = w.head,
		       updated_at = now(), idle_assignments = 0
		  FROM unnest(streams, epochs, expected, next_offsets, outbox_seqs, heads)
		       AS w (stream, epoch, expected, next_offset, outbox_seq, head)
		 WHERE p.stream = w.stream AND p.epoch = w.epoch
		   AND p.next_offset = w.expected
		RETURNING p.stream
	)
	SELECT array_agg(u.stream) INTO moved FROM u;
	IF cardinality(moved) IS DISTINCT FROM cardinality(streams) THEN
		SELECT min(w) INTO culprit FROM unnest(streams) AS w
		 WHERE NOT w = ANY (coalesce(moved, '{}'));
		RAISE EXCEPTION USING ERRCODE = 'BL001',
			MESSAGE = format('stream %s is not at the epoch and offset expected',
					 culprit);
	END IF;
END
$$;

-- What becomes of a dead letter. The ledger says what was known when the event was read, and
-- stays as it is; this row says the rest. record_time is needed to fold an event without a
-- time of its own: it then has the log's.
ALTER TABLE busline.dead_letter
	ADD COLUMN state text NOT NULL DEFAULT 'open'
		   CHECK (state IN ('open', 'redriven', 'discarded')),
	ADD COLUMN redrives int NOT NULL DEFAULT 0 CHECK (redrives >= 0),
	ADD COLUMN record_time timestamptz,
	ADD COLUMN edited bytea,
	ADD COLUMN edited_at timestamptz,
	ADD COLUMN edited_by text,
	ADD COLUMN edit_reason text,
	ADD COLUMN verdict busline.verdict,
	ADD COLUMN verdict_reason text,
	ADD COLUMN resolved_at timestamptz,
	ADD COLUMN resolved_by text,
	ADD COLUMN resolve_reason text,
	ADD COLUMN act_offset bigint,
	ADD CHECK ((state = 'open') = (resolved_at IS NULL)),
	ADD CHECK (state <> 'redriven' OR verdict IS NOT NULL);
COMMENT ON COLUMN busline.dead_letter.redrives IS 'times it was redriven without success';
COMMENT ON COLUMN busline.dead_letter.edited IS
	'JSON that is folded instead of the event''s data; the received bytes stay in data';
COMMENT ON COLUMN busline.dead_letter.verdict IS 'what became of it when it was folded at last';
COMMENT ON COLUMN busline.dead_letter.act_offset IS
	'the event of the same partition that did this: an operator''s, or a timer''s';
GRANT UPDATE (state, cause, detail, redrives, edited, edited_at, edited_by, edit_reason, verdict,
	      verdict_reason, resolved_at, resolved_by, resolve_reason, act_offset)
   ON busline.dead_letter TO busline_worker;

-- The events that wait for one key, in the order of the log.
CREATE INDEX dead_letter_waiting
    ON busline.dead_letter (stream, tenant, (coalesce(subject, '')), "offset")
 WHERE state = 'open' AND cause IN ('transient', 'held');

-- Keys that are held. Written by the owner of the stream's epoch only.
CREATE TABLE busline.quarantine (
	stream          int NOT NULL,
	head            bigint NOT NULL,
	attempts        int NOT NULL CHECK (attempts >= 0),
	since           timestamptz NOT NULL DEFAULT now(),
	updated_at      timestamptz NOT NULL DEFAULT now(),
	next_attempt_at timestamptz,
	state           text NOT NULL CHECK (state IN ('retrying', 'draining', 'held')),
	tenant          text NOT NULL,
	subject         text NOT NULL,
	error           text,
	PRIMARY KEY (stream, tenant, subject),
	CHECK (state <> 'held' OR next_attempt_at IS NULL)
);
COMMENT ON TABLE busline.quarantine IS 'keys whose events wait behind one that fails';
COMMENT ON COLUMN busline.quarantine.head IS 'offset of the event that all others wait for';
COMMENT ON COLUMN busline.quarantine.attempts IS
	'tries of the head; counted before each one, so that a crash cannot give one back';
COMMENT ON COLUMN busline.quarantine.state IS
	'retrying: its next attempt has a timer; draining: its head works again; held: the budget '
	'is spent, a person decides';
SELECT busline.tenant_guard('busline.quarantine');
GRANT SELECT, INSERT, UPDATE, DELETE ON busline.quarantine TO busline_worker;
GRANT SELECT ON busline.quarantine TO busline_gateway, busline_auditor;

-- The event a careful worker is about to try, and how often that has begun: committed before
-- the try, because the worker may not live to tell.
CREATE TABLE busline.attempt (
	stream     int PRIMARY KEY,
	"offset"   bigint NOT NULL,
	attempts   int NOT NULL CHECK (attempts >= 1),
	updated_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON busline.attempt TO busline_worker;
GRANT SELECT ON busline.attempt TO busline_auditor;

-- ---- for people ----

-- What could not be applied when it was read, and what became of it.
CREATE OR REPLACE VIEW audit.dead_letter WITH (security_invoker = true) AS
SELECT p.topic, p.partition, d."offset", d.cause, d.detail, d.tenant, d.subject AS app, d.type,
       d.source, d.id, busline.headers_jsonb(d.headers) AS headers,
       busline.text_or_null(d.data) AS data, d.data AS raw, d.recorded_at,
       d.state, d.redrives, busline.text_or_null(d.edited) AS edited, d.edited_at, d.edited_by,
       d.edit_reason, d.verdict, d.verdict_reason, d.resolved_at, d.resolved_by,
       d.resolve_reason, d.act_offset
  FROM busline.dead_letter d JOIN busline.position p USING (stream);
COMMENT ON VIEW audit.dead_letter IS
	'what could not be applied when it was read, why, and what became of it';

CREATE OR REPLACE VIEW audit.dead_letters_by_cause WITH (security_invoker = true) AS
SELECT cause, tenant, type, count(*) AS events, min(recorded_at) AS first_at,
       max(recorded_at) AS last_at, count(*) FILTER (WHERE state = 'open') AS open
  FROM audit.dead_letter
 GROUP BY cause, tenant, type;
COMMENT ON VIEW audit.dead_letters_by_cause IS 'dead letters by cause, and how many are open';

-- Held keys, the oldest first.
CREATE VIEW audit.held_key WITH (security_invoker = true) AS
SELECT p.topic, p.partition, q.tenant, q.subject AS app, q.state, q.attempts, q.head,
       h.type AS head_type, h.id AS head_id,
       (SELECT count(*) FROM busline.dead_letter w
	 WHERE w.stream = q.stream AND w.tenant = q.tenant
	   AND coalesce(w.subject, '') = q.subject AND w.state = 'open'
	   AND w.cause IN ('transient', 'held') AND w."offset" > q.head) AS waiting,
       q.since, date_trunc('milliseconds', now() - q.since) AS age, q.next_attempt_at, q.error
  FROM busline.quarantine q
  JOIN busline.position p USING (stream)
  LEFT JOIN busline.dead_letter h ON h.stream = q.stream AND h."offset" = q.head
 ORDER BY q.since, q.stream, q.tenant, q.subject;
COMMENT ON VIEW audit.held_key IS 'keys whose events wait: since when, behind what, how many';

-- The verdict that counts: of an event that was set aside and folded later, the later one.
CREATE OR REPLACE VIEW audit.event WITH (security_invoker = true) AS
SELECT e.tenant, e.subject AS app, e."time", e.type, coalesce(d.verdict, e.verdict) AS verdict,
       CASE WHEN d.verdict IS NULL THEN e.reason ELSE d.verdict_reason END AS reason,
       e.actor, e.source, e.id, e.correlationid, e.causationid, e.data, e.topic, e.partition,
       e."offset", e.recorded_at
  FROM busline.events e
  LEFT JOIN busline.dead_letter d
    ON d.stream = e.stream AND d."offset" = e."offset"
   AND e.verdict::text IN ('REJECTED', 'HELD')
 WHERE e.verdict <> 'REROUTED';
COMMENT ON VIEW audit.event IS 'every event that counts, where it took effect';

GRANT SELECT ON audit.held_key TO busline_auditor;
