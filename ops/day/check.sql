-- The state the day must give, one line per fact, in a fixed order; expected.txt is what it prints.
SET timezone = 'UTC';
SELECT 'app', tenant, app, owner, to_char(created_at, 'HH24:MI') FROM paas.app ORDER BY 2, 3;
SELECT 'deployment', tenant, app, 'latest', latest_release, 'current', current_release, 'previous', previous_release
  FROM paas.deployment ORDER BY 2, 3;
SELECT 'release', tenant, app, number, kind, rollback_to, image, status, reason, requested_by,
       to_char(finished_at, 'HH24:MI:SS')
  FROM paas.release ORDER BY 2, 3, 4;
SELECT 'scale', tenant, app, process, 'desired', desired, 'observed', observed, status
  FROM paas.scale ORDER BY 2, 3, 4;
SELECT 'route', tenant, app, host, 'wanted', wanted_version, 'applied', applied_version,
       (SELECT string_agg(format('v%s=%s%%', release, weight), ' ' ORDER BY release)
	  FROM paas.route_target t
	 WHERE (t.tenant, t.app, t.host, t.version) = (r.tenant, r.app, r.host, r.wanted_version))
  FROM paas.route r ORDER BY 2, 3, 4;
SELECT 'artifacts', count(*) FROM paas.artifact;
SELECT 'dead letter', cause, d.tenant, d.subject, d.id FROM busline.dead_letter d ORDER BY d.id;
SELECT 'ledger', verdict, count(*) FROM busline.ledger GROUP BY verdict ORDER BY verdict::text;
SELECT 'incidents', count(*) FROM busline.incident;
