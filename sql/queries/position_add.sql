-- Rows for partitions seen for the first time. Looks first: a conflict would use up a
-- stream number each time.
-- $1 text topic, $2 int[] partitions
INSERT INTO busline.position (topic, partition)
SELECT $1::text, w.partition FROM unnest($2::int[]) AS w (partition)
 WHERE NOT EXISTS (SELECT FROM busline.position p
		    WHERE p.topic = $1::text AND p.partition = w.partition)
 ORDER BY w.partition
ON CONFLICT (topic, partition) DO NOTHING
