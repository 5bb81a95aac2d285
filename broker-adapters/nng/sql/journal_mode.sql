-- Answers with the mode that is in force.
PRAGMA journal_mode = WAL
