// graphile-worker: jobs a second over a full queue, one by one or in its batches, or the time from
// before `addJob` to the first line of the task.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { Window, answer, options } from "./measure.mjs";

const TASK = "empty";
const connectionString = process.env.DATABASE_URL;
const logger = new Logger(() => () => {});
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Its documentation's settings for the highest throughput; without `batches` its defaults. */
function preset({ concurrency, batches }) {
  const batched = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
  return {
    worker: {
      connectionString,
      concurrentJobs: concurrency,
      maxPoolSize: concurrency + 1,
      ...(batches ? batched : {}),
    },
  };
}

const worker = (task) =>
  run({ preset: preset(options), logger, noHandleSignals: true, taskList: { [TASK]: task } });

async function throughput() {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  await utils.release();
  const client = new pg.Client({ connectionString });
  await client.connect();
  const add = `SELECT count(*) FROM graphile_worker.add_jobs((SELECT array_agg(json_populate_record(
    null::graphile_worker.job_spec,
    json_build_object('identifier', $1::text, 'payload', json_build_object('n', n)))) FROM
    generate_series(1, $2::int) n))`;
  for (let left = options.jobs; left > 0; left -= 10_000) {
    await client.query(add, [TASK, Math.min(left, 10_000)]);
  }
  await client.query("VACUUM ANALYZE");
  await client.end();
  const window = new Window(options);
  await worker(() => window.add());
  answer(await window.closed);
}

async function latency() {
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  let begun;
  await worker(() => begun(performance.now()));
  // It listens, and has looked for jobs once.
  await pause(500);
  const times = [];
  for (let n = 0; n < options.warmUp + options.jobs; n++) {
    const begin = performance.now();
    const started = new Promise((resolve) => {
      begun = resolve;
    });
    await utils.addJob(TASK, { n });
    const took = (await started) - begin;
    if (n >= options.warmUp) times.push(took);
    await pause(options.pauseMs);
  }
  answer(times);
}

await (options.measure === "latency" ? latency() : throughput());
