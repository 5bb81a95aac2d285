-- Names of applications, for completion; no parameters.
SELECT app FROM paas.app WHERE deleted_at IS NULL
UNION SELECT app FROM paas.deployment
 ORDER BY 1
