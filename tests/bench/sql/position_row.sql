-- $1 bigint next offset, $2 bytea head, $3 int stream, $4 bigint epoch
UPDATE busline.position SET next_offset = $1::bigint, head = $2::bytea, updated_at = now()
 WHERE stream = $3::int AND epoch = $4::bigint
