// ../harness.py for systems in JavaScript: the same commands, the same steps, the same answers.
//
//   node harness.mjs ADAPTER URL QUEUE LEDGER prepare|work|count
//   node harness.mjs ADAPTER URL QUEUE LEDGER finish FIRST JOBS
//   node harness.mjs ADAPTER URL QUEUE LEDGER produce FIRST STEP=JOBS...
import { setTimeout as pause } from "node:timers/promises";
import { Ledger } from "./ledger.mjs";

const IN_FLIGHT = 50;
const PICKUP_PAUSE = 20;
const BULK = 1000;
const POLL = 10;

const take = async (peer, ledger, step, first, jobs) => {
  let next = first;
  const end = first + jobs;
  if (step === "bulk") {
    while (next < end) {
      const numbers = [];
      while (next < end && numbers.length < BULK) {
        ledger.send(next);
        numbers.push(next++);
      }
      await peer.enqueueMany(numbers);
    }
    return;
  }
  const oneAfterTheOther = async () => {
    while (next < end) {
      const number = next++;
      if (step === "pickup") await pause((0.5 + Math.random()) * PICKUP_PAUSE);
      ledger.send(number);
      await peer.enqueue(number);
    }
  };
  const tasks = step === "concurrent" ? IN_FLIGHT : 1;
  await Promise.all(Array.from({ length: tasks }, oneAfterTheOther));
};

const commands = {
  prepare: (peer) => peer.prepare(),
  count: (peer) => peer.countUnfinished(),
  finish: async (peer, ledger, [first, jobs]) => {
    await peer.countUnfinished();
    while (ledger.countStarted(Number(first), Number(jobs)) < Number(jobs)) await pause(POLL);
    while (await peer.countUnfinished()) await pause(1);
    return Number(process.hrtime.bigint());
  },
  work: async (peer, ledger) => {
    await peer.work((number) => ledger.start(number));
    await new Promise(() => {});
  },
  produce: async (peer, ledger, [from, ...steps]) => {
    let first = Number(from);
    const taken = {};
    for (const argument of steps) {
      const [step, jobs] = argument.split("=");
      const all = Number(jobs);
      // As if the first job, which connects, took as long as the others.
      const ahead = step === "serial" && all > 1 ? 1 : 0;
      if (ahead) await take(peer, ledger, step, first, ahead);
      const started = process.hrtime.bigint();
      await take(peer, ledger, step, first + ahead, all - ahead);
      const seconds = Number(process.hrtime.bigint() - started) / 1e9;
      taken[step] = (seconds * all) / (all - ahead);
      first += all;
    }
    return taken;
  },
};

const [adapter, url, queue, ledger, command, ...rest] = process.argv.slice(2);
const { Peer } = await import(`./${adapter}.mjs`);
const peer = new Peer(url, queue);
process.on("SIGTERM", () => process.exit(0));
await peer.open();
const answer = await commands[command](peer, new Ledger(ledger), rest);
process.stdout.write(`${JSON.stringify(answer ?? null)}\n`, () => process.exit(0));
