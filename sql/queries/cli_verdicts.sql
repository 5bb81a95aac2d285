-- What became of events: $1::text[] topics, $2::int[] partitions, $3::bigint[] offsets (where
-- they were published), $4::uuid[] identity keys. Row n answers the n-th; no row: not yet.
--
-- What the ledger says at the very place counts. A repeat has no row there, and an event away
-- from home says REROUTED: both are found by identity, in any partition of the topic.
WITH asked AS MATERIALIZED (
	SELECT a.n, a.topic, a.key, a."offset", p.stream
	  FROM unnest($1::text[], $2::int[], $3::bigint[], $4::uuid[]) WITH ORDINALITY
	       AS a (topic, partition, "offset", key, n)
	  JOIN busline.position p USING (topic, partition)
	 WHERE p.next_offset > a."offset"
), there AS MATERIALIZED (
	-- one look into the ledger per stream, by its index on (stream, offset)
	SELECT l.stream, l."offset", l.verdict, l.reason
	  FROM (SELECT stream, min("offset") AS low, max("offset") AS high
		  FROM asked GROUP BY stream) b
	 CROSS JOIN LATERAL (
		SELECT l.stream, l."offset", l.verdict, l.reason
		  FROM busline.ledger l
		 WHERE l.stream = b.stream AND l."offset" BETWEEN b.low AND b.high
		OFFSET 0) l
), here AS MATERIALIZED (
	SELECT a.n, a.topic, a.key, t.stream, t."offset", t.verdict, t.reason
	  FROM asked a
	  LEFT JOIN there t ON t.stream = a.stream AND t."offset" = a."offset"
), elsewhere AS (
	SELECT DISTINCT ON (h.n) h.n, i.stream, i."offset", l.verdict, l.reason
	  FROM here h
	  JOIN busline.position p ON p.topic = h.topic
	  JOIN busline.identity i ON i.stream = p.stream AND i.key = h.key
	 CROSS JOIN LATERAL (
		SELECT l.verdict, l.reason
		  FROM busline.ledger l
		 WHERE l.stream = i.stream AND l."offset" = i."offset"
		 LIMIT 1) l
	 WHERE h.verdict IS NULL OR h.verdict = 'REROUTED'
	 ORDER BY h.n, l.verdict = 'REROUTED'
), answer AS (
	SELECT n, stream, "offset", verdict, reason FROM here WHERE verdict <> 'REROUTED'
	UNION ALL
	SELECT n, stream, "offset", verdict, reason FROM elsewhere WHERE verdict <> 'REROUTED'
)
SELECT a.n, coalesce(d.verdict, a.verdict)::text AS verdict,
       CASE WHEN d.cause IS NULL THEN a.reason
	    WHEN d.verdict IS NOT NULL THEN d.verdict_reason
	    WHEN d.cause = 'rejected' THEN coalesce(d.detail, a.reason)
	    ELSE concat_ws(': ', d.cause, coalesce(d.detail, a.reason)) END AS reason
  FROM answer a
  LEFT JOIN busline.dead_letter d ON d.stream = a.stream AND d."offset" = a."offset"
 ORDER BY a.n
