-- $1 text tenant, $2 text app, $3 text process, $4 bigint desired, $5 bigint version,
-- $6 text source, $7 text id, $8 timestamptz time
INSERT INTO paas.scale AS t (tenant, app, process, desired, min, max, version, status,
	event_source, event_id, updated_at)
VALUES ($1::text, $2::text, $3::text, $4::bigint, 0, 10000, $5::bigint, 'requested', $6::text,
	$7::text, $8::timestamptz)
ON CONFLICT (tenant, app, process) DO UPDATE
   SET desired = excluded.desired, version = excluded.version, status = excluded.status,
       event_source = excluded.event_source, event_id = excluded.event_id,
       updated_at = excluded.updated_at
