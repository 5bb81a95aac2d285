-- Rows past the cursors, by stream and number. The position row says which streams have any,
-- in the same snapshot as the rows. Each stream gets its share of the limit, so that one
-- with a long tail does not hold up the others. place_before is the number the stream was
-- read to: the first row's must follow it.
-- $1 int[] streams, $2 bigint[] numbers read to, $3 bigint most rows
WITH pending AS MATERIALIZED (
	SELECT p.stream, coalesce(c.seq, m.seq, 0) AS place_before
	  FROM busline.position p
	  LEFT JOIN unnest($1::int[], $2::bigint[]) AS c (stream, seq) USING (stream)
	  LEFT JOIN busline.outbox_mark m USING (stream)
	 WHERE p.outbox_seq > coalesce(c.seq, m.seq, 0)
)
SELECT o.stream, o.seq, o.kind::int, o.topic, o.key, o.headers, o.data, p.place_before
  FROM pending p
 CROSS JOIN LATERAL (
	SELECT o.* FROM busline.outbox o
	 WHERE o.stream = p.stream AND o.seq > p.place_before
	 ORDER BY o.seq
	 LIMIT greatest(1, $3::bigint / (SELECT count(*) FROM pending))
       ) o
 ORDER BY o.stream, o.seq
 LIMIT $3::bigint
