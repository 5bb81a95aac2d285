-- What has become of held keys after an act: $1::text[] topics, $2::int[] partitions,
-- $3::text[] tenants, $4::text[] subjects. Row n answers the n-th: its state, NULL if it is
-- free; what waits; and what the head has failed with.
SELECT a.n, q.state, q.head, q.error,
       (SELECT count(*) FROM busline.dead_letter w
	 WHERE w.stream = q.stream AND w.tenant = q.tenant
	   AND coalesce(w.subject, '') = q.subject AND w.state = 'open'
	   AND w.cause IN ('transient', 'held') AND w."offset" > q.head) AS behind
  FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) WITH ORDINALITY
       AS a (topic, partition, tenant, subject, n)
  JOIN busline.position p USING (topic, partition)
  LEFT JOIN busline.quarantine q
    ON q.stream = p.stream AND q.tenant = a.tenant AND q.subject = a.subject
 ORDER BY a.n
