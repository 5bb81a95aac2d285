-- Names of tenants, for completion; no parameters.
SELECT tenant FROM paas.tenant
UNION SELECT tenant FROM paas.app
 ORDER BY 1
