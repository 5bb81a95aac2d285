-- $1 place, $2 head, $3 bodies
INSERT INTO chunk (place, head, bodies) VALUES (?1, ?2, ?3)
