-- Ends what a failed unit has left open; a warning if nothing is.
ROLLBACK
