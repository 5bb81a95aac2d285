-- One row per key and name; setting it again replaces it.
-- $1 int[] streams, $2 text[] tenants, $3 text[] subjects, $4 text[] names, $5 bigint[] delays
-- in milliseconds, $6 timestamptz[] times, $7 text[] sources and $8 text[] ids of the causes,
-- $9 text[] correlations, $10 text[] traceparents, $11 text[] actors
INSERT INTO busline.timer AS t
       (xid, number, delay_ms, set_at, due_at, cause_time, stream, tenant, subject, name,
	cause_source, cause_id, correlationid, traceparent, actor)
SELECT pg_current_xact_id()::text::bigint, nextval('busline.timer_number'), u.delay_ms, c.at,
       c.at + make_interval(secs => u.delay_ms / 1000.0), u.cause_time, u.stream, u.tenant,
       u.subject, u.name, u.cause_source, u.cause_id, u.correlationid, u.traceparent, u.actor
  FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[],
	      $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[])
       AS u (stream, tenant, subject, name, delay_ms, cause_time, cause_source, cause_id,
	     correlationid, traceparent, actor),
       (SELECT clock_timestamp() AS at) c
ON CONFLICT (stream, tenant, subject, name) DO UPDATE
   SET xid = excluded.xid, number = excluded.number, delay_ms = excluded.delay_ms,
       set_at = excluded.set_at, due_at = excluded.due_at, cause_time = excluded.cause_time,
       cause_source = excluded.cause_source, cause_id = excluded.cause_id,
       correlationid = excluded.correlationid, traceparent = excluded.traceparent,
       actor = excluded.actor
