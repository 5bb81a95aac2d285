-- $1 bigint[] transactions, $2 bigint[] numbers
SELECT busline.timer_fire($1::bigint[], $2::bigint[])
