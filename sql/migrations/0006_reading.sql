-- What people read: bytes as text and JSON, events with their names, the digest of all state.
SET LOCAL ROLE busline_owner;

-- Raw bytes came from outside: they may be no UTF-8, hold NUL, or be no JSON. A reader gets
-- NULL then, and never an error that would hide all other rows.
CREATE FUNCTION busline.text_or_null(raw bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
	RETURN convert_from(raw, 'UTF8');
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END
$$;

CREATE FUNCTION busline.jsonb_or_null(raw bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
	RETURN convert_from(raw, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
	RETURN NULL;
END
$$;

-- One field of packed headers: be32 length (0xffffffff: absent) and bytes. next is where the
-- one behind it begins.
CREATE FUNCTION busline.packed_field(packed bytea, at int, OUT field bytea, OUT next int)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
	len bigint := ('x' || encode(substr(packed, at, 4), 'hex'))::bit(32)::bigint;
BEGIN
	IF len = 4294967295 THEN
		field := NULL;
		next := at + 4;
	ELSE
		field := substr(packed, at + 4, len::int);
		next := at + 4 + len::int;
	END IF;
END
$$;

-- Packed headers as an object of name and text; a name that comes more than once has an array
-- of its values, a value that is no text is {"base64": "..."}. The packed form stays the
-- truth: this is for reading.
CREATE FUNCTION busline.headers_jsonb(packed bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
	found jsonb := '{}';
	name text;
	field bytea;
	value jsonb;
	at int := 5;
BEGIN
	FOR i IN 1 .. ('x' || encode(substr(packed, 1, 4), 'hex'))::bit(32)::int LOOP
		SELECT f.field, f.next INTO field, at FROM busline.packed_field(packed, at) f;
		name := coalesce(busline.text_or_null(field), encode(field, 'hex'), '');
		SELECT f.field, f.next INTO field, at FROM busline.packed_field(packed, at) f;
		value := coalesce(to_jsonb(busline.text_or_null(field)),
				  jsonb_build_object('base64', encode(field, 'base64')));
		IF field IS NULL THEN
			value := 'null';
		END IF;
		IF NOT found ? name THEN
			found := found || jsonb_build_object(name, value);
		ELSIF jsonb_typeof(found -> name) = 'array' THEN
			found := jsonb_set(found, ARRAY[name], (found -> name) || value);
		ELSE
			found := jsonb_set(found, ARRAY[name],
					   jsonb_build_array(found -> name, value));
		END IF;
	END LOOP;
	RETURN found;
END
$$;

-- The ledger with the names of its streams and readable content. In structured mode the
-- record's value is the whole event; data is its data member. security_invoker: the reader's
-- own rights and policies hold, not those of the view's owner.
CREATE VIEW busline.events WITH (security_invoker = true) AS
SELECT p.topic, p.partition, l."offset", l.source, l.id, l.type, l.tenant, l.subject, l."time",
       l.actor, l.correlationid, l.causationid, l.traceparent, l.verdict, l.reason,
       busline.text_or_null(l.key) AS key,
       CASE WHEN lower(h.headers ->> 'content-type') LIKE 'application/cloudevents%'
	    THEN busline.jsonb_or_null(l.data) -> 'data'
	    ELSE busline.jsonb_or_null(l.data) END AS data,
       h.headers, l.data AS raw, l.hash, l.record_time, l.recorded_at, l.stream
  FROM busline.ledger l
  JOIN busline.position p USING (stream)
 CROSS JOIN LATERAL (SELECT busline.headers_jsonb(l.headers) AS headers) h;

GRANT SELECT ON busline.events TO busline_worker, busline_gateway, busline_auditor;
GRANT EXECUTE ON FUNCTION busline.text_or_null, busline.jsonb_or_null, busline.packed_field,
      busline.headers_jsonb TO busline_worker, busline_gateway, busline_auditor;

-- SHA-256 over all of schema paas: of each table in order of name, its name, its columns in
-- order of name, and the SHA-256 of each row in order of the row's text. Finds tables and
-- columns by itself, so that a new one cannot be forgotten; a table without rows counts as
-- one that is not there. The settings make a value's text the same in every session;
-- COLLATE "C" makes the order the same on every machine. STABLE: all tables are seen at one
-- moment, that of the calling query. A definer's function, because the digest is of all
-- tenants whoever asks: it tells nothing about any of them.
CREATE FUNCTION busline.state_digest() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO'
SET intervalstyle = 'iso_8601' SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
DECLARE
	each record;
	rows_digest bytea;
	total bytea := '';
BEGIN
	FOR each IN
		SELECT c.oid::regclass AS name, c.relname,
		       string_agg(quote_ident(a.attname), ', '
				  ORDER BY a.attname COLLATE "C") AS columns
		  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		 WHERE c.relnamespace = 'paas'::regnamespace
		   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		   AND a.attnum > 0 AND NOT a.attisdropped
		 GROUP BY c.oid, c.relname
		 ORDER BY c.relname COLLATE "C"
	LOOP
		EXECUTE format('SELECT sha256(string_agg(sha256(convert_to(r, ''UTF8'')), '''' '
			       'ORDER BY r COLLATE "C")) '
			       'FROM (SELECT ROW(%s)::text AS r FROM %s) AS every',
			       each.columns, each.name) INTO rows_digest;
		IF rows_digest IS NOT NULL THEN
			total := total || convert_to(format('%s(%s)', each.relname,
							    each.columns), 'UTF8')
				 || '\x00'::bytea || rows_digest;
		END IF;
	END LOOP;
	RETURN encode(sha256(total), 'hex');
END
$$;
GRANT EXECUTE ON FUNCTION busline.state_digest TO busline_worker, busline_auditor;
