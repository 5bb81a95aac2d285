SELECT number, name, sha256, to_char(applied_at AT TIME ZONE 'UTC',
				     'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  FROM busline.migration ORDER BY number
