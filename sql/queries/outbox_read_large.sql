-- The same for rows of any size: what is read stays within a number of bytes, but a first row
-- that exceeds it alone. The running sum costs as much as all the rest, so it is asked only
-- where outbox_read has left out a row. place_before is the number the stream was read to.
-- $1 int[] streams, $2 bigint[] numbers read to, $3 bigint most rows, $4 bigint most bytes,
-- $5 int[] shards
WITH pending AS MATERIALIZED (
	SELECT p.stream, coalesce(c.seq, m.seq, 0) AS place_before
	  FROM busline.position p
	  LEFT JOIN unnest($1::int[], $2::bigint[]) AS c (stream, seq) USING (stream)
	  LEFT JOIN busline.outbox_mark m USING (stream)
	 WHERE p.outbox_seq > coalesce(c.seq, m.seq, 0)
	   AND busline.relay_shard_of(p.stream) = ANY ($5::int[])
), found AS (
	SELECT o.stream, o.seq, o.kind, o.topic, o.key, o.headers, o.data, p.place_before,
	       sum(octet_length(o.headers) + coalesce(octet_length(o.key), 0)
		   + coalesce(octet_length(o.data), 0)) OVER way AS bytes,
	       row_number() OVER way AS place
	  FROM pending p
	 CROSS JOIN LATERAL (
		SELECT * FROM busline.outbox
		 WHERE stream = p.stream AND seq > p.place_before
		 ORDER BY seq
		 LIMIT greatest(1, $3::bigint / (SELECT count(*) FROM pending))
	       ) o
	WINDOW way AS (ORDER BY o.stream, o.seq ROWS UNBOUNDED PRECEDING)
)
SELECT stream, seq, CASE WHEN seq = place_before + 1 THEN true END AS follows,
       nullif(kind, 0)::int AS kind, topic, key, headers, data, place_before
  FROM found
 WHERE bytes <= $4::bigint OR place = 1
 ORDER BY stream, seq
 LIMIT $3::bigint
