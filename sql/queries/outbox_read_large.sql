-- The same for rows of any size: what is read stays within a number of bytes, but a first row
-- that exceeds it alone. The running sum costs as much as all the rest, so it is asked only
-- where outbox_read has left out a row. place_before is the number the stream was read to.
-- $1 bigint[] numbers read to, by stream, -1: up to its mark; $2 bigint most rows, $3 bigint most
-- bytes, $4 int[] shards
WITH pending AS MATERIALIZED (
	SELECT p.stream, coalesce(nullif(($1::bigint[])[p.stream], -1), m.seq, 0) AS place_before
	  FROM busline.position p
	  LEFT JOIN busline.outbox_mark m USING (stream)
	 WHERE p.outbox_seq > coalesce(nullif(($1::bigint[])[p.stream], -1), m.seq, 0)
	   AND busline.relay_shard_of(p.stream) = ANY ($4::int[])
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
		 LIMIT greatest(1, $2::bigint / (SELECT count(*) FROM pending))
	       ) o
	WINDOW way AS (ORDER BY o.stream, o.seq ROWS UNBOUNDED PRECEDING)
)
SELECT stream, seq, CASE WHEN seq = place_before + 1 THEN true END AS follows,
       nullif(kind, 0)::int AS kind, topic, key, headers, data, place_before
  FROM found
 WHERE bytes <= $3::bigint OR place = 1
 ORDER BY stream, seq
 LIMIT $2::bigint
