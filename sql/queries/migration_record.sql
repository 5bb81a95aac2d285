-- $1 int number, $2 text name, $3 text sha256
INSERT INTO busline.migration (number, name, sha256) VALUES ($1::int, $2::text, $3::text)
RETURNING to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
