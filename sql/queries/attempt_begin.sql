-- Counts a try of the event at a position before it is made; no row: another one owns the
-- stream. $1 int stream, $2 bigint epoch, $3 bigint next offset, $4 bigint offset tried
WITH mine AS MATERIALIZED (
	SELECT stream FROM busline.position
	 WHERE stream = $1::int AND epoch = $2::bigint AND next_offset = $3::bigint FOR SHARE
)
INSERT INTO busline.attempt AS a (stream, "offset", attempts)
SELECT stream, $4::bigint, 1 FROM mine
ON CONFLICT (stream) DO UPDATE
   SET "offset" = excluded."offset", updated_at = now(),
       attempts = CASE WHEN a."offset" = excluded."offset" THEN a.attempts + 1 ELSE 1 END
RETURNING a.attempts
