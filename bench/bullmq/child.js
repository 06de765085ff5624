// The words between the bench and a measured process, see bench/src/process.rs.
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export async function ready() {
  process.stdout.write('ready\n');
  await lines.next();
}

export async function finish(latencies) {
  process.stdout.write(`${JSON.stringify(latencies)}\n`);
  await lines.next();
  process.exit(0);
}
