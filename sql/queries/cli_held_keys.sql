-- Held keys, the oldest first: $1::text tenant or NULL, $2::text topic or NULL.
SELECT topic, partition, tenant, app AS subject, state, head, head_type, attempts, waiting,
       extract(epoch FROM age)::bigint AS age_s,
       to_char(next_attempt_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
       AS next_attempt_at, error
  FROM audit.held_key
 WHERE ($1::text IS NULL OR tenant = $1::text) AND ($2::text IS NULL OR topic = $2::text)
 ORDER BY since, topic, partition, tenant, app
