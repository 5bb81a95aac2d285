-- :sagas transfers between :accounts accounts, the first job of each waiting
INSERT INTO peer.account SELECT 'account-' || n, 1000000 FROM generate_series(0, :accounts - 1) n;
INSERT INTO peer.saga
SELECT 'transfer-' || n, 'account-' || n % :accounts, 'account-' || (n * 7 + 1) % :accounts, 1 + n % 50, 'RUNNING'
  FROM generate_series(1, :sagas) n;
SELECT count(graphile_worker.add_job('debit', json_build_object('saga', saga))) FROM peer.saga;
ANALYZE;
