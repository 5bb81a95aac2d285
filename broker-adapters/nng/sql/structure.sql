-- The B-trees themselves, for who has the time: one line per finding, or "ok".
PRAGMA quick_check(100)
