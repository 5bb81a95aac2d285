-- The newest migration the schema has.
SELECT number::bigint, sha256 FROM busline.migration ORDER BY number DESC LIMIT 1
