-- $1 text name, $2 text holder, $3 bigint milliseconds, $4 bigint our epoch or 0
SELECT epoch, holder, left_ms
  FROM busline.lease_take($1::text, $2::text, $3::bigint, $4::bigint)
