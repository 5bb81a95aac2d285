-- $1 bigint epoch of the lease
SELECT busline.outbox_rotate($1::bigint)
