-- From the chunk that holds a place.
-- $1 place, $2 first place of the log, $3 first place behind the log
SELECT place, head, bodies FROM chunk
 WHERE place >= (SELECT max(place) FROM chunk WHERE place BETWEEN ?2 AND ?1) AND place < ?3
 ORDER BY place
