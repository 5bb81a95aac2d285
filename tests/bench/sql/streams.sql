-- The streams of the benchmark's topic, made if they are missing.
INSERT INTO busline.position (topic, partition, epoch)
SELECT 'busline.scale', partition, 1 FROM generate_series(0, 5) AS partition
ON CONFLICT (topic, partition) DO UPDATE SET epoch = busline.position.epoch + 1
RETURNING stream, epoch
