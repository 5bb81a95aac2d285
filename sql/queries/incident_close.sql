-- $1 text[] kinds, $2 int[] streams, $3 text[] tenants, $4 text[] subjects, $5 text[] reasons
SELECT busline.incident_close($1::text[], $2::int[], $3::text[], $4::text[], $5::text[])
