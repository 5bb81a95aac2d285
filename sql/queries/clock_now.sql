-- PostgreSQL's clock, and where the next look for new timers must begin. No parameters.
SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS wall_ms,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin
