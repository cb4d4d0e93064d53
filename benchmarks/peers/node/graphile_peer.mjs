// graphile-worker on PostgreSQL: local queue and batched completion, as its page on speed advises.
import { makeWorkerUtils, run, runMigrations } from "graphile-worker";
import pg from "pg";
import { PAYLOAD } from "./payload.mjs";

export class Peer {
  constructor(url, queue) {
    this.pool = new pg.Pool({ connectionString: url, max: 20 });
    this.task = queue;
  }

  async open() {}

  async prepare() {
    await runMigrations({ pgPool: this.pool });
  }

  async utils() {
    this.ready ??= makeWorkerUtils({ pgPool: this.pool });
    return this.ready;
  }

  async enqueue(number) {
    await (await this.utils()).addJob(this.task, { number, ...PAYLOAD });
  }

  async enqueueMany(numbers) {
    const jobs = numbers.map((number) => ({
      identifier: this.task,
      payload: { number, ...PAYLOAD },
    }));
    await (await this.utils()).addJobs(jobs);
  }

  async countUnfinished() {
    const { rows } = await this.pool.query(
      "SELECT count(*)::int AS jobs FROM graphile_worker.jobs WHERE task_identifier = $1",
      [this.task],
    );
    return rows[0].jobs;
  }

  async work(start) {
    await run({
      pgPool: this.pool,
      taskList: { [this.task]: async (payload) => start(payload.number) },
      noHandleSignals: true,
      preset: {
        worker: {
          concurrentJobs: 24,
          pollInterval: 2000,
          maxPoolSize: 20,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    });
  }
}
