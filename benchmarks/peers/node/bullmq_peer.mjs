// BullMQ on Redis: 50 jobs at a time; finished jobs are removed.
import { Queue, Worker } from "bullmq";
import { PAYLOAD } from "./payload.mjs";

export class Peer {
  constructor(url, queue) {
    const { hostname, port } = new URL(url);
    this.connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
    this.name = queue;
  }

  async open() {
    this.queue = new Queue(this.name, {
      connection: this.connection,
      defaultJobOptions: { removeOnComplete: true },
    });
    await this.queue.waitUntilReady();
  }

  async prepare() {}

  async enqueue(number) {
    await this.queue.add("noop", { number, ...PAYLOAD });
  }

  async enqueueMany(numbers) {
    await this.queue.addBulk(
      numbers.map((number) => ({ name: "noop", data: { number, ...PAYLOAD } })),
    );
  }

  async countUnfinished() {
    const counts = await this.queue.getJobCounts("waiting", "active", "delayed", "prioritized");
    return Object.values(counts).reduce((sum, jobs) => sum + jobs, 0);
  }

  async work(start) {
    const options = { connection: this.connection, concurrency: 50 };
    this.worker = new Worker(this.name, async (job) => start(job.data.number), options);
    await this.worker.waitUntilReady();
  }
}
