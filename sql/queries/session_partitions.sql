-- Ledger partitions ahead of time, if this role may make them.
-- $1 int months ahead
SELECT CASE WHEN has_function_privilege('busline.ledger_partitions_ensure(int)', 'EXECUTE')
	    THEN busline.ledger_partitions_ensure($1::int) ELSE 0 END
