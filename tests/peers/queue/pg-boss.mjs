// pg-boss: jobs a second over a full queue, one by one or in batches.
import { PgBoss } from "pg-boss";
import pg from "pg";
import { Window, answer, options } from "./measure.mjs";

const QUEUE = "empty";
const connectionString = process.env.DATABASE_URL;

/**
 * One by one a worker rests half a second after each job, which is the least that it allows, but
 * for its burst mode: that is on in both, with the counts behind it taken as often as it allows.
 */
const polling = { pollingIntervalSeconds: 0.5 };
const oneByOne = { batchSize: 1, burstWhenReadyExceeds: 1 };
const inBatches = { batchSize: options.batchSize, burstWhenBatchFull: true };

const boss = new PgBoss({
  connectionString,
  max: options.concurrency + 4,
  monitorIntervalSeconds: 1,
  superviseIntervalSeconds: 1,
  queueCacheIntervalSeconds: 1,
});
boss.on("error", (error) => process.stderr.write(`${error.stack}\n`));
await boss.start();
await boss.createQueue(QUEUE);
for (let left = options.jobs; left > 0; left -= 5_000) {
  const jobs = Array.from({ length: Math.min(left, 5_000) }, (_, n) => ({ data: { n } }));
  await boss.insert(QUEUE, jobs);
}
const client = new pg.Client({ connectionString });
await client.connect();
await client.query("VACUUM ANALYZE");
await client.end();
// Until it has counted what is there.
for (;;) {
  const queue = await boss.getQueue(QUEUE);
  if (queue.readyCount >= options.jobs || queue.queuedCount >= options.jobs) break;
  await new Promise((resolve) => setTimeout(resolve, 200));
}
const window = new Window(options);
await boss.work(
  QUEUE,
  {
    ...polling,
    ...(options.batches ? inBatches : oneByOne),
    localConcurrency: options.concurrency,
  },
  async (jobs) => window.add(jobs.length),
);
answer(await window.closed);
