// Adds empty jobs to a BullMQ queue: one after another, each awaited, or in bulk.
// Started by the bench with: task, socket, count; bench/src/process.rs tells what it says and hears.
import { Queue } from 'bullmq';
import { finish, ready } from './child.js';

const [task, socket, count] = process.argv.slice(2);
const BULK = 1000;
// Finished jobs leave as much as with fleetq: a short history.
const opts = { removeOnComplete: { count: 200 } };

const queue = new Queue('bench', { connection: { path: socket } });
await queue.waitUntilReady();
await ready();
const jobs = Number(count);
if (task === 'enqueue-one') {
  for (let n = 0; n < jobs; n += 1) await queue.add('empty', {}, opts);
} else {
  for (let from = 0; from < jobs; from += BULK) {
    const length = Math.min(BULK, jobs - from);
    await queue.addBulk(Array.from({ length }, () => ({ name: 'empty', data: {}, opts })));
  }
}
await finish([]);
