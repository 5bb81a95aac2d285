-- $1 id
DELETE FROM producer WHERE id = ?1
