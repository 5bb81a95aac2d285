-- $1 int stream and $2 bigint epoch of the clock, $3 text boot id, $4 bigint milliseconds since
-- boot and $5 bigint by PostgreSQL's clock at the same moment, $6 bigint xmin of the last
-- look; $7 bigint[] transactions, $8 bigint[] numbers, $9 bigint[] due times of timers to be
-- corrected, or NULL
SELECT busline.clock_beat($1::int, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint,
			  $7::bigint[], $8::bigint[], $9::bigint[])
