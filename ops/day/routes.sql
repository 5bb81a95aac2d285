SELECT tenant, app, host, version, status,
       string_agg(format('v%s=%s%%', release, weight), ' ' ORDER BY release) AS targets
  FROM paas.route_version JOIN paas.route_target USING (tenant, app, host, version)
 GROUP BY tenant, app, host, version, status
 ORDER BY tenant, app, host, version
