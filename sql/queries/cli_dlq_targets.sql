-- Open dead letters an act is about, in the order of the log: $1::text[] topics,
-- $2::int[] partitions, $3::bigint[] offsets of those named, or NULL: all that fit $4::text
-- tenant, $5::text cause, $6::text topic, $7::text key as tenant/subject; each may be NULL.
-- head is what a held key waits for; first says that no earlier one here waits for the same;
-- behind is how many wait behind that head in all.
WITH fit AS (
	SELECT p.topic, p.partition, d.stream, d."offset", d.cause, d.tenant, d.subject, d.type,
	       d.id, d.redrives, q.head, q.subject AS held_subject
	  FROM busline.dead_letter d
	  JOIN busline.position p USING (stream)
	  LEFT JOIN busline.quarantine q
	    ON q.stream = d.stream AND q.tenant = d.tenant
	   AND q.subject = coalesce(d.subject, '') AND d.cause IN ('transient', 'held')
	 WHERE d.state = 'open'
	   AND ($1::text[] IS NULL OR (p.topic, p.partition, d."offset") IN
		(SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])))
	   AND ($4::text IS NULL OR d.tenant = $4::text)
	   AND ($5::text IS NULL OR d.cause = $5::text)
	   AND ($6::text IS NULL OR p.topic = $6::text)
	   AND ($7::text IS NULL OR concat_ws('/', d.tenant, coalesce(d.subject, '')) = $7::text)
), numbered AS (
	SELECT f.*, row_number() OVER (PARTITION BY f.stream, coalesce(f.head, f."offset")
				       ORDER BY f."offset") = 1 AS first
	  FROM fit f
)
SELECT f.topic, f.partition, f."offset", f.cause, f.tenant, f.subject, f.type, f.id, f.redrives,
       f.head, f.first::int AS first,
       CASE WHEN f.head IS NULL OR NOT f.first THEN 0 ELSE
	    (SELECT count(*) FROM busline.dead_letter w
	      WHERE w.stream = f.stream AND w.tenant = f.tenant
		AND coalesce(w.subject, '') = f.held_subject AND w.state = 'open'
		AND w.cause IN ('transient', 'held') AND w."offset" > f.head) END AS behind
  FROM numbered f
 ORDER BY f.topic, f.partition, f."offset"
