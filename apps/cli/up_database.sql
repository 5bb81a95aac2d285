-- The platform's database, unless it is there; for psql.
SELECT 'CREATE DATABASE busline'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'busline') \gexec
