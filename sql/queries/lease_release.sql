-- $1 text name, $2 bigint our epoch
UPDATE busline.lease SET expires_at = clock_timestamp()
 WHERE name = $1::text AND epoch = $2::bigint
