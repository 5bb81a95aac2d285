-- The held keys of streams: $1 int[] streams
SELECT stream, tenant, subject, head, attempts, state
  FROM busline.quarantine WHERE stream = ANY ($1::int[])
