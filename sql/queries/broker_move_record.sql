-- $1 bigint epoch of the lease "migrate-broker", $2 text from, $3 text to, $4 text actor, $5 text reason
SELECT busline.broker_move_record($1::bigint, $2::text, $3::text, $4::text, $5::text)
