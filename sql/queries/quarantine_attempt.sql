-- Counts a try of a held key's head before it is made; no row: another one owns the stream, or
-- the head is another one. The position is locked, so that a new owner comes before or after.
-- $1 int stream, $2 bigint epoch, $3 bigint next offset, $4 text tenant, $5 text subject,
-- $6 bigint head
WITH mine AS MATERIALIZED (
	SELECT stream FROM busline.position
	 WHERE stream = $1::int AND epoch = $2::bigint AND next_offset = $3::bigint FOR SHARE
)
UPDATE busline.quarantine q
   SET attempts = q.attempts + 1, updated_at = now()
  FROM mine
 WHERE q.stream = mine.stream AND q.tenant = $4::text AND q.subject = $5::text
   AND q.head = $6::bigint
RETURNING q.attempts
