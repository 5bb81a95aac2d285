-- Once per unit; heard at commit.
SELECT pg_notify('busline_outbox', '')
