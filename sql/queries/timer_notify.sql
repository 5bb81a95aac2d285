-- Once per unit; the clock hears it at commit.
SELECT pg_notify('busline_timer', '')
