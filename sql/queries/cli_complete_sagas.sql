-- Ids of sagas for completion, those that have not ended first; no parameters.
SELECT saga FROM paas.saga
 ORDER BY finished_at IS NOT NULL, updated_at DESC NULLS LAST, saga
 LIMIT 200
