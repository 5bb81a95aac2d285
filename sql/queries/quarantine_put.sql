-- $1 int[] streams, $2 text[] tenants, $3 text[] subjects, $4 bigint[] heads,
-- $5 int[] attempts, $6 text[] states, $7 text[] errors, $8 bigint[] ms until the next attempt
INSERT INTO busline.quarantine AS q (stream, tenant, subject, head, attempts, state, error,
				     next_attempt_at)
SELECT w.stream, w.tenant, w.subject, w.head, w.attempts, w.state, w.error,
       now() + make_interval(secs => w.delay_ms / 1000.0)
  FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::int[], $6::text[],
	      $7::text[], $8::bigint[])
       AS w (stream, tenant, subject, head, attempts, state, error, delay_ms)
ON CONFLICT (stream, tenant, subject) DO UPDATE
   SET head = excluded.head, attempts = excluded.attempts, state = excluded.state,
       error = coalesce(excluded.error, q.error), next_attempt_at = excluded.next_attempt_at,
       updated_at = now()
