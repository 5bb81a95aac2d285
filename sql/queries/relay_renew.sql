-- $1 text holder, $2 bigint milliseconds, $3 int[] shards given up
SELECT shard, epoch, share, others_ms
  FROM busline.relay_renew($1::text, $2::bigint, $3::int[])
