// pg-boss on PostgreSQL: `fetch` and `complete` in a loop, 500 at a time, as `work` cannot poll more
// often than twice a second.
import { setTimeout as pause } from "node:timers/promises";
import PgBoss from "pg-boss";
import { PAYLOAD } from "./payload.mjs";

const BATCH = 500;
const POLL = 5;

export class Peer {
  constructor(url, queue) {
    this.boss = new PgBoss({ connectionString: url, max: 20 });
    this.boss.on("error", (error) => console.error(error));
    this.name = queue;
  }

  async open() {
    await this.boss.start();
  }

  async prepare() {
    await this.boss.createQueue(this.name);
  }

  async enqueue(number) {
    await this.boss.send(this.name, { number, ...PAYLOAD });
  }

  async enqueueMany(numbers) {
    await this.boss.insert(
      numbers.map((number) => ({ name: this.name, data: { number, ...PAYLOAD } })),
    );
  }

  async countUnfinished() {
    return this.boss.getQueueSize(this.name, { before: "completed" });
  }

  async work(start) {
    for (;;) {
      const jobs = await this.boss.fetch(this.name, { batchSize: BATCH });
      for (const job of jobs) start(job.data.number);
      const ids = jobs.map((job) => job.id);
      if (ids.length) await this.boss.complete(this.name, ids);
      else await pause(POLL);
    }
  }
}
