// The ledger of ../ledger.py: one slot of three unsigned 64-bit integers a job.
import { openSync, readSync, writeSync } from "node:fs";

const SLOT = 24;

export class Ledger {
  constructor(path) {
    this.file = openSync(path, "r+");
    this.time = Buffer.alloc(8);
    this.entry = Buffer.alloc(16);
    this.starts = new Map();
  }

  /** How many of the jobs were started. */
  countStarted(first, jobs) {
    const slots = Buffer.alloc(jobs * SLOT);
    readSync(this.file, slots, 0, slots.length, first * SLOT);
    let started = 0;
    for (let at = 16; at < slots.length; at += SLOT) started += slots.readUInt32LE(at) ? 1 : 0;
    return started;
  }

  /** The job is about to be enqueued. */
  send(number) {
    this.time.writeBigUInt64LE(process.hrtime.bigint());
    writeSync(this.file, this.time, 0, 8, number * SLOT);
  }

  /** The job is started. There is one worker, so that it can count the starts itself. */
  start(number) {
    const starts = (this.starts.get(number) ?? 0) + 1;
    this.starts.set(number, starts);
    this.entry.writeBigUInt64LE(process.hrtime.bigint(), 0);
    this.entry.writeBigUInt64LE(BigInt(starts), 8);
    writeSync(this.file, this.entry, 0, 16, number * SLOT + 8);
  }
}
