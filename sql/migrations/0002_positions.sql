-- Where workers are, what they have seen, what they could not apply.
SET LOCAL ROLE busline_owner;

-- One row per topic-partition. Everything that must change together stands together, and is
-- changed by one UPDATE per unit; the free third of each page keeps those updates in place
-- (HOT), also while an old transaction holds back the clean-up.
CREATE TABLE busline.position (
	stream      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	partition   int NOT NULL CHECK (partition >= 0),
	epoch       bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
	next_offset bigint NOT NULL DEFAULT 0 CHECK (next_offset >= 0),
	outbox_seq  bigint NOT NULL DEFAULT 0 CHECK (outbox_seq >= 0),
	updated_at  timestamptz NOT NULL DEFAULT now(),
	topic       text NOT NULL CHECK (topic <> ''),
	head        bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
		    CHECK (octet_length(head) = 32),
	UNIQUE (topic, partition)
) WITH (fillfactor = 70);
COMMENT ON COLUMN busline.position.epoch IS 'who may write: grows with each owner';
COMMENT ON COLUMN busline.position.next_offset IS 'everything before is done';
COMMENT ON COLUMN busline.position.outbox_seq IS 'last number given to an outbox row';
COMMENT ON COLUMN busline.position.head IS 'hash of the newest ledger row';
-- The identity and the name of a stream never change; nothing is ever deleted.
GRANT SELECT, INSERT (topic, partition),
      UPDATE (epoch, next_offset, outbox_seq, head, updated_at)
   ON busline.position TO busline_worker;
GRANT SELECT ON busline.position TO busline_gateway, busline_auditor;

-- The fence: moves all positions of a unit, or raises BL001. It compares instead of locking,
-- so that a worker which was paused past the end of its ownership finds another epoch, and a
-- unit sent behind a failed one finds another offset. A concurrent assignment is waited for,
-- and then seen.
CREATE FUNCTION busline.fence(streams int[], epochs bigint[], expected bigint[],
			      next_offsets bigint[], outbox_seqs bigint[], heads bytea[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	moved int[];
	culprit int;
BEGIN
	WITH u AS (
		UPDATE busline.position p
		   SET next_offset = w.next_offset, outbox_seq = w.outbox_seq, head = w.head,
		       updated_at = now()
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
GRANT EXECUTE ON FUNCTION busline.fence TO busline_worker;

-- Every (source, id) ever seen in a stream, for ever: a table of its own, because a unique
-- index on the partitioned ledger would have to hold the partition's time. The key keeps a
-- time-ordered id's time in front, so that inserts stay at the right edge.
CREATE TABLE busline.identity (
	"offset" bigint NOT NULL,
	stream   int NOT NULL,
	key      uuid NOT NULL,
	digest   bytea NOT NULL,
	CONSTRAINT identity_pkey PRIMARY KEY (stream, key)
);
COMMENT ON COLUMN busline.identity.digest IS
	'first 16 bytes of the record''s digest: same id, other bytes is a conflict';
GRANT SELECT, INSERT ON busline.identity TO busline_worker;
-- Readers find an event in the ledger by it: hashes only, no tenant's words.
GRANT SELECT ON busline.identity TO busline_gateway, busline_auditor;

-- What can never be applied, with its cause. It can refuse nothing: no constraint on what
-- came from outside, and bytes as they came.
CREATE TABLE busline.dead_letter (
	stream      int NOT NULL,
	"offset"    bigint NOT NULL,
	cause       text NOT NULL,
	detail      text,
	tenant      text,
	source      text,
	id          text,
	type        text,
	subject     text,
	key         bytea,
	headers     bytea NOT NULL,
	data        bytea,
	recorded_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (stream, "offset")
);
SELECT busline.tenant_guard('busline.dead_letter');
GRANT SELECT, INSERT ON busline.dead_letter TO busline_worker;
GRANT SELECT ON busline.dead_letter TO busline_gateway, busline_auditor;

-- Things a person must look at. One open row per kind and partition: a worker that meets the
-- same trouble every second counts instead of filling the disk.
CREATE TABLE busline.incident (
	id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind         text NOT NULL CHECK (kind <> ''),
	topic        text NOT NULL,
	partition    int NOT NULL,
	"offset"     bigint NOT NULL,
	detail       text,
	opened_at    timestamptz NOT NULL DEFAULT now(),
	last_seen_at timestamptz NOT NULL DEFAULT now(),
	count        bigint NOT NULL DEFAULT 1 CHECK (count >= 1),
	closed_at    timestamptz,
	closed_by    text,
	close_reason text,
	CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE UNIQUE INDEX incident_open ON busline.incident (kind, topic, partition)
	WHERE closed_at IS NULL;
GRANT SELECT, INSERT (kind, topic, partition, "offset", detail),
      UPDATE ("offset", detail, last_seen_at, count)
   ON busline.incident TO busline_worker;
GRANT SELECT ON busline.incident TO busline_auditor;
