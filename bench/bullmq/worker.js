// Works on a BullMQ queue of empty jobs: a backlog, or one job at a time on an idle worker.
// Started by the bench with: task, socket, count; bench/src/process.rs tells what it says and hears.
import { setTimeout as pause } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { finish, ready } from './child.js';

const [task, socket, count] = process.argv.slice(2);
// Best of 10, 50, 100, 250 and 500.
const CONCURRENCY = 100;
const jobs = Number(count);

let started = () => {};
const worker = new Worker('bench', async () => started(process.hrtime.bigint()), {
  autorun: false,
  concurrency: CONCURRENCY,
  connection: { path: socket, maxRetriesPerRequest: null },
});
await worker.waitUntilReady();

if (task === 'work') {
  await ready();
  let left = jobs;
  // Comes after the job was acknowledged.
  const all = new Promise((resolve) => {
    worker.on('completed', () => {
      left -= 1;
      if (left === 0) resolve();
    });
  });
  worker.run();
  await all;
  await finish([]);
} else {
  const queue = new Queue('bench', { connection: { path: socket } });
  await queue.waitUntilReady();
  worker.run();
  await ready();
  const latencies = [];
  for (let n = 0; n < jobs; n += 1) {
    // The worker becomes idle again, and nothing can fall into step with this loop: 8 to 18 ms.
    await pause(8 + ((n * 7919) % 10_000) / 1000);
    const start = new Promise((resolve) => {
      started = resolve;
    });
    const from = process.hrtime.bigint();
    await queue.add('empty', {}, { removeOnComplete: { count: 200 } });
    latencies.push(Number((await start) - from) / 1000);
  }
  await finish(latencies);
}
