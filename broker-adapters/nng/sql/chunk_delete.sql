-- $1 from place, $2 before place
DELETE FROM chunk WHERE place >= ?1 AND place < ?2
