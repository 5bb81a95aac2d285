-- For this transaction only: a person's query is planned for its own values.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true)
