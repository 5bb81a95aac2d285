-- What every connection of ours runs under, so that no default of a server or role decides.
-- Statement and lock time-outs are shorter than the client's own deadline: a clear error
-- comes first. idle_in_transaction ends a paused process that holds locks.
-- Plans are made once, perhaps while a table was empty and every way to its rows cost the same:
-- all we do is done by key, so only ways by key are left (and nothing is compiled for a query
-- of a millisecond). The arrays' lengths change nothing about that.
-- $1 text statement_timeout, $2 text lock_timeout, $3 text synchronous_commit,
-- $4 text application_name
SELECT set_config('statement_timeout', $1::text, false),
       set_config('lock_timeout', $2::text, false),
       set_config('synchronous_commit', $3::text, false),
       set_config('application_name', $4::text, false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('client_connection_check_interval', '2s', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('plan_cache_mode', 'force_generic_plan', false),
       set_config('enable_seqscan', 'off', false),
       set_config('enable_hashjoin', 'off', false),
       set_config('enable_mergejoin', 'off', false),
       set_config('jit', 'off', false),
       set_config('search_path', 'busline, paas, audit, pg_temp', false),
       set_config('timezone', 'UTC', false),
       set_config('datestyle', 'ISO', false),
       set_config('bytea_output', 'hex', false)
