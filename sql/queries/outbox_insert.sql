-- $1 int[] streams, $2 bigint[] numbers, $3 int[] kinds, $4 text[] topics, $5 bytea[] keys,
-- $6 bytea[] packed headers, $7 bytea[] values
INSERT INTO busline.outbox (slot, stream, seq, kind, topic, key, headers, data)
SELECT (SELECT r.slot FROM busline.outbox_rotation r), u.stream, u.seq, u.kind, u.topic,
       u.key, u.headers, u.data
  FROM unnest($1::int[], $2::bigint[], $3::int[], $4::text[], $5::bytea[], $6::bytea[],
	      $7::bytea[]) AS u (stream, seq, kind, topic, key, headers, data)
