-- Wanted state per application: $1::text tenant or NULL, $2::text app or NULL.
-- release is the latest asked for, current_release the last that succeeded.
WITH app AS (
	SELECT tenant, app FROM paas.app WHERE deleted_at IS NULL
	UNION SELECT tenant, app FROM paas.deployment
	UNION SELECT tenant, app FROM paas.scale
	UNION SELECT tenant, app FROM paas.route
)
SELECT a.tenant, a.app, d.latest_release AS release, r.status, d.current_release, r.image,
       (SELECT jsonb_object_agg(s.process, s.desired)
	  FROM paas.scale s WHERE s.tenant = a.tenant AND s.app = a.app) AS scale,
       (SELECT jsonb_object_agg(h.host, h.targets)
	  FROM (SELECT o.host, jsonb_object_agg('v' || t.release, t.weight) AS targets
		  FROM paas.route o
		  JOIN paas.route_target t
		    ON t.tenant = o.tenant AND t.app = o.app AND t.host = o.host
		   AND t.version = o.wanted_version
		 WHERE o.tenant = a.tenant AND o.app = a.app
		 GROUP BY o.host) h) AS routes
  FROM app a
  LEFT JOIN paas.deployment d USING (tenant, app)
  LEFT JOIN paas.release r
    ON r.tenant = a.tenant AND r.app = a.app AND r.number = d.latest_release
 WHERE ($1::text IS NULL OR a.tenant = $1::text) AND ($2::text IS NULL OR a.app = $2::text)
 ORDER BY a.tenant, a.app
