-- Which are known; place is the index in the arrays, from 0.
-- $1 int[] streams, $2 uuid[] keys
SELECT w.place - 1, i."offset", i.digest
  FROM unnest($1::int[], $2::uuid[]) WITH ORDINALITY AS w (stream, key, place)
  JOIN busline.identity i ON i.stream = w.stream AND i.key = w.key
