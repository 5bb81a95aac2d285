-- Chunks of no log. $1 first place behind the last log, $2 first place of the first log
SELECT place FROM chunk WHERE place < ?2
UNION ALL
SELECT place FROM chunk WHERE place >= ?1
