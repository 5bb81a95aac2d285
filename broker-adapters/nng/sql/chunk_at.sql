-- The chunk that holds a place.
-- $1 place, $2 first place of the log
SELECT place, head FROM chunk WHERE place BETWEEN ?2 AND ?1 ORDER BY place DESC LIMIT 1
