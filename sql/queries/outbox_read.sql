-- Rows past the cursors, by stream and number. The position row says which streams have any,
-- in the same snapshot as the rows. Each stream gets its share of the limit, so that one
-- with a long tail does not hold up the others.
-- Numbers have no gap, so a share is a range of them, and nothing is sorted or counted. Rows
-- that are larger than a share of the bytes are left out here, which bounds the whole; where
-- one is missing the caller asks outbox_read_large. A stream of which no row is found comes
-- as one row without a number. follows: this row is the next after the cursor.
-- $1 bigint[] numbers read to, by stream, -1: up to its mark; $2 bigint most rows, $3 bigint most
-- bytes, $4 int[] shards
WITH pending AS MATERIALIZED (
	SELECT p.stream, coalesce(nullif(($1::bigint[])[p.stream], -1), m.seq, 0) AS place_before,
	       greatest(1, $2::bigint / count(*) OVER ()) AS share
	  FROM busline.position p
	  LEFT JOIN busline.outbox_mark m USING (stream)
	 WHERE p.outbox_seq > coalesce(nullif(($1::bigint[])[p.stream], -1), m.seq, 0)
	   AND busline.relay_shard_of(p.stream) = ANY ($4::int[])
)
SELECT p.stream, o.seq, CASE WHEN o.seq = p.place_before + 1 THEN true END AS follows,
       nullif(o.kind, 0)::int AS kind, o.topic, o.key, o.headers, o.data
  FROM pending p
  LEFT JOIN LATERAL (
	SELECT * FROM busline.outbox
	 WHERE stream = p.stream AND seq > p.place_before AND seq <= p.place_before + p.share
	   AND octet_length(headers) + coalesce(octet_length(key), 0)
	       + coalesce(octet_length(data), 0) <= $3::bigint / $2::bigint
	 ORDER BY seq
	 LIMIT $2::bigint
       ) o ON true
 LIMIT $2::bigint
