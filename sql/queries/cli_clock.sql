-- The server's clock in microseconds since 1970; no parameters.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS wall_us
