-- $1 text role; as SET ROLE
SELECT set_config('role', $1::text, false)
