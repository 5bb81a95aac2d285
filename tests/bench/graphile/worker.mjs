// worker.mjs - graphile-worker on the steps of peer.sql: worker.mjs URL migrate | run SAGAS JOBS QUEUE
//
// Ends when all sagas are complete and prints {"steps", "seconds"}: from the first step that was
// recorded to the last, so that starting is no part of it.
import { Logger, run, runMigrations } from "graphile-worker";

const [connectionString, what, sagas, jobs, queue] = process.argv.slice(2);
const logger = new Logger(() => () => {});

if (what === "migrate") {
	await runMigrations({ connectionString, logger });
	process.exit(0);
}

let done = 0;
let began = null;
const finished = {};
finished.promise = new Promise((resolve) => (finished.resolve = resolve));

const step = (name) => async (payload, helpers) => {
	if (began === null) {
		began = performance.now();
	}
	await helpers.withPgClient((client) => client.query({
		name: "step", text: "select peer.step($1, $2)", values: [payload.saga, name],
	}));
	if (++done === 2 * Number(sagas)) {
		finished.resolve(performance.now());
	}
};

const runner = await run({
	connectionString,
	concurrency: Number(jobs),
	maxPoolSize: Number(jobs) + 4,
	noHandleSignals: true,
	pollInterval: 100,
	logger,
	taskList: { debit: step("debit"), credit: step("credit") },
	preset: { worker: {
		concurrentJobs: Number(jobs),
		localQueue: { size: Number(queue) },
		completeJobBatchDelay: 1,
		failJobBatchDelay: 1,
	} },
});
const ended = await finished.promise;
await runner.stop();
console.log(JSON.stringify({ steps: 2 * Number(sagas), seconds: (ended - began) / 1000 }));
process.exit(0);
