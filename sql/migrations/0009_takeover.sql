-- A new owner ends the transactions of the old one.

-- To end another login's session takes pg_signal_backend, and to see what it does
-- pg_read_all_stats; the owner has them for the one function below. (They do not reach
-- sessions of superusers: the processes of a platform are none.)
DO $$
BEGIN
	IF NOT pg_has_role('busline_owner', 'pg_signal_backend', 'MEMBER') THEN
		GRANT pg_signal_backend TO busline_owner;
	END IF;
	IF NOT pg_has_role('busline_owner', 'pg_read_all_stats', 'MEMBER') THEN
		GRANT pg_read_all_stats TO busline_owner;
	END IF;
END
$$;
SET LOCAL ROLE busline_owner;

-- Ends the sessions of workers whose unfinished transaction holds one of these position rows,
-- and says how many. A worker that was frozen while half of its unit was sent leaves a
-- transaction that no timeout of the server ends: it is neither idle nor running, it waits
-- for the rest of a pipeline. Its rows stay locked as long as it is frozen, and nobody could
-- take its partitions over. Whoever calls this has waited for lock_timeout already; a unit
-- that was about to commit had that long. The session is looked at again right before it is
-- ended, so that a number given to another process is not hit.
CREATE FUNCTION busline.position_evict(topic text, partitions int[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ended int;
BEGIN
	SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) INTO ended
	  FROM (SELECT DISTINCT l.pid
		  FROM busline.position p
		  JOIN pg_locks l ON l.locktype = 'transactionid' AND l.granted
				 AND l.transactionid = p.xmax
		 WHERE p.topic = position_evict.topic
		   AND p.partition = ANY (position_evict.partitions)) h
	  JOIN pg_stat_activity a ON a.pid = h.pid
	 WHERE a.application_name LIKE 'busline worker %' AND a.pid <> pg_backend_pid();
	RETURN ended;
END
$$;
GRANT EXECUTE ON FUNCTION busline.position_evict TO busline_worker;
