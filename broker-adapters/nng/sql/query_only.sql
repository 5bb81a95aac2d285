-- For who only looks.
PRAGMA query_only = ON;
