-- A migration may take as long as its work needs; waiting for others' locks may not. Plans
-- and names as the server has them: the files name everything in full.
SELECT set_config('statement_timeout', '0', false),
       set_config('lock_timeout', '30s', false),
       set_config('client_min_messages', 'warning', false),
       set_config('search_path', 'pg_catalog, pg_temp', false),
       set_config('synchronous_commit', 'on', false),
       set_config('timezone', 'UTC', false)
