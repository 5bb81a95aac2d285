-- One migrator at a time, in this database. Held until the connection ends.
SELECT pg_advisory_lock(hashtext('busline.migration'))
