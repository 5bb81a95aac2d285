-- $1 int[] streams, $2 text[] tenants, $3 text[] subjects, $4 text[] names
DELETE FROM busline.timer t
 USING unnest($1::int[], $2::text[], $3::text[], $4::text[])
       AS u (stream, tenant, subject, name)
 WHERE t.stream = u.stream AND t.tenant = u.tenant AND t.subject = u.subject
   AND t.name = u.name
