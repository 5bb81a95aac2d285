-- What the events of these timers are made of; those that are gone do not come.
-- $1 bigint[] transactions, $2 bigint[] numbers
SELECT t.xid, t.number, (extract(epoch FROM t.due_at) * 1000000)::bigint AS due_us,
       coalesce((extract(epoch FROM t.cause_time) * 1000000)::bigint,
		(-9223372036854775808)::bigint) AS cause_us,
       p.topic, t.tenant, t.subject, t.name, t.cause_source, t.cause_id, t.correlationid,
       t.traceparent, t.actor
  FROM unnest($1::bigint[], $2::bigint[]) AS w (xid, number)
  JOIN busline.timer t USING (xid, number)
  JOIN busline.position p USING (stream)
