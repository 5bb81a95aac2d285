SELECT topic, verdict, count(*) FROM busline.events GROUP BY topic, verdict ORDER BY topic, verdict
