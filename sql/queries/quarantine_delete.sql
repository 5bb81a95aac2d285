-- Keys that are free again: $1 int[] streams, $2 text[] tenants, $3 text[] subjects
DELETE FROM busline.quarantine q
 USING unnest($1::int[], $2::text[], $3::text[]) AS w (stream, tenant, subject)
 WHERE q.stream = w.stream AND q.tenant = w.tenant AND q.subject = w.subject
