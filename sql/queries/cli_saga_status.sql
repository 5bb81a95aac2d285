-- What a saga has come to: $1::text tenant, $2::text saga.
SELECT s.status, s.failed_step, s.reason
  FROM paas.saga s
 WHERE s.tenant = $1::text AND s.saga = $2::text
