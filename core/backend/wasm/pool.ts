/** A parallel for over the shared memory. Workers start on first use and never keep the process alive. */
import { Worker } from "node:worker_threads";
import { env } from "../../env.ts";
import type { WasmMemory } from "./memory.ts";
import { workerSource } from "./pool_worker.ts";

/** Functions of a wasm module; all arguments are 32-bit integers. */
export type WasmFunction = (...args: number[]) => void;

const JOB = 64;
const JOB_WORDS = 6000;
const MESSAGE_BYTES = 240;

/** Word offsets in the control block; words that different threads write lie on different cache lines. */
const Ctl = {
  epoch: 0,
  asleep: 1,
  claim: 16,
  done: 32,
  callerAsleep: 33,
  ready: 34,
  failed: 35,
  messageLength: 36,
  module: 48,
  exportIndex: 49,
  argCount: 50,
  scratchSlot: 51,
  scratchBase: 52,
  scratchStride: 53,
  job: JOB,
  message: JOB + JOB_WORDS,
  words: JOB + JOB_WORDS + MESSAGE_BYTES / 4,
  messageBytes: MESSAGE_BYTES,
  /** About 30 microseconds of spinning before a thread sleeps. */
  spins: 2000,
} as const;

/** Most chunks of one job: the claim word has eight bits for them. */
export const MAX_CHUNKS = 255;

/** Chunks of one function, ready to run: made once, run many times. */
export interface Job {
  /** What runs. */
  readonly fn: WasmFunction;
  /** The module of `fn`. */
  readonly module: WasmCode;
  /** Which of its exports `fn` is. */
  readonly exportIndex: number;
  /** Arguments of all chunks, one after the other. */
  readonly args: Int32Array;
  /** Arguments of one chunk. */
  readonly argCount: number;
  /** Number of chunks, at most {@linkcode MAX_CHUNKS}. */
  readonly chunks: number;
  /** Position of the argument that gets the running thread's scratch address, or -1. */
  readonly scratchSlot: number;
  /** Address of the first thread's scratch memory. */
  readonly scratchBase: number;
  /** Bytes from one thread's scratch memory to the next. */
  readonly scratchStride: number;
}

/** A module that workers can load; `entry` is where its bytes lie once they were published. */
export interface WasmCode {
  /** The module in binary form. */
  readonly bytes: Uint8Array;
  /** Address of the published bytes. */
  entry?: number;
}

/**
 * Number of threads to use: `PTA_THREADS`, else the processors of the machine, at most 8.
 * @throws {RangeError} When `PTA_THREADS` is not a whole number of at least 1
 */
export function threadCount(): number {
  const text = env("PTA_THREADS");
  if (text === undefined || text === "") return Math.min(navigator.hardwareConcurrency, 8);
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
    throw new RangeError(`Cannot use PTA_THREADS=${text}: want a whole number from 1 to 64`);
  }
  return threads;
}

// `Atomics.pause` is younger than the type library.
const pause = (Atomics as { pause?: () => void }).pause ?? (() => {});

/** Runs the chunks of a {@linkcode Job} on this thread and on workers, whoever is free. */
export class Pool {
  readonly #memory: WasmMemory;
  readonly #mathNames: readonly string[];
  #control = 0;
  #words: Int32Array | undefined;
  #threads: number;
  #epoch = 0;
  #scratchBase = 0;
  #scratchStride = 0;

  /**
   * Starts no thread yet.
   * @param memory The memory that jobs work in
   * @param threads Threads in all, this one included
   * @param mathNames Names of the `Math` functions that modules import
   */
  constructor(memory: WasmMemory, threads: number, mathNames: readonly string[] = []) {
    this.#memory = memory;
    this.#threads = threads;
    this.#mathNames = mathNames;
  }

  /** Threads that jobs may run on, this one included; 1 when workers could not start. */
  get threads(): number {
    return this.#threads;
  }

  /** Workers that are up and take chunks. */
  get workersReady(): number {
    return this.#words === undefined ? 0 : Atomics.load(this.#words, Ctl.ready);
  }

  /**
   * Work space of at least `bytes` for each thread: address of thread 0's and the distance to the next. Contents do not survive a launch;
   * all launches share it.
   */
  scratch(bytes: number): { base: number; stride: number } {
    if (bytes > this.#scratchStride) {
      this.#scratchStride = Math.max(4096, 2 ** Math.ceil(Math.log2(bytes)));
      this.#scratchBase = this.#memory.reserve(this.#scratchStride * this.#threads);
    }
    return { base: this.#scratchBase, stride: this.#scratchStride };
  }

  /** Starts the workers without waiting for them: until one is up, this thread takes all chunks. */
  start(): void {
    if (this.#words !== undefined || this.#threads < 2) return;
    this.#control = this.#memory.reserve(Ctl.words * 4);
    const at = this.#control >>> 2;
    this.#words = this.#memory.i32.subarray(at, at + Ctl.words).fill(0);
    try {
      for (let thread = 1; thread < this.#threads; thread++) {
        const worker = new Worker(workerSource, {
          eval: true,
          workerData: {
            memory: this.#memory.memory,
            control: this.#control,
            thread,
            mathNames: this.#mathNames,
            ctl: Ctl,
          },
        });
        worker.on("error", (error: unknown) => this.#giveUp(error));
        worker.unref();
      }
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #giveUp(error: unknown): void {
    if (this.#threads === 1) return;
    this.#threads = 1;
    console.warn(`pta: worker threads are unavailable, running on one thread: ${error}`);
  }

  /**
   * Runs all chunks of a job and returns when they are done.
   * @throws {Error} When a chunk trapped
   */
  run(job: Job): void {
    this.start();
    if (this.#threads < 2) return this.#runAlone(job);
    const words = this.#words!;
    words[Ctl.module] = job.module.entry ??= this.#publish(job.module.bytes);
    words[Ctl.exportIndex] = job.exportIndex;
    words[Ctl.argCount] = job.argCount;
    words[Ctl.scratchSlot] = job.scratchSlot;
    words[Ctl.scratchBase] = job.scratchBase;
    words[Ctl.scratchStride] = job.scratchStride;
    words.set(job.args, JOB);
    const count = job.chunks;
    this.#epoch = (this.#epoch + 1) & 0x7fff;
    Atomics.store(words, Ctl.failed, 0);
    Atomics.store(words, Ctl.done, 0);
    Atomics.store(words, Ctl.claim, (this.#epoch << 16) | (count << 8));
    Atomics.add(words, Ctl.epoch, 1);
    if (Atomics.load(words, Ctl.asleep) > 0) Atomics.notify(words, Ctl.epoch);
    let trap: unknown;
    for (;;) {
      const claim = Atomics.load(words, Ctl.claim), next = claim & 255;
      if (next >= count) break;
      if (Atomics.compareExchange(words, Ctl.claim, claim, claim + 1) !== claim) continue;
      try {
        call(job, next);
      } catch (error) {
        trap = error;
      }
      Atomics.add(words, Ctl.done, 1);
    }
    // Even after a trap nobody may return while workers still write.
    this.#join(words, count);
    if (trap !== undefined) throw trap;
    if (Atomics.load(words, Ctl.failed) !== 0) throw this.#failure(words);
  }

  #runAlone(job: Job): void {
    for (let chunk = 0; chunk < job.chunks; chunk++) call(job, chunk);
  }

  #join(words: Int32Array, count: number): void {
    for (let n = 0;; n++) {
      const done = Atomics.load(words, Ctl.done);
      if (done === count) break;
      pause();
      if (n < Ctl.spins) continue;
      words[Ctl.callerAsleep] = 1;
      // The timeout covers a worker that read the word just before it was set.
      Atomics.wait(words, Ctl.done, done, 1);
    }
    words[Ctl.callerAsleep] = 0;
  }

  #failure(words: Int32Array): Error {
    const at = this.#control + Ctl.message * 4;
    const text = this.#memory.u8.slice(at, at + words[Ctl.messageLength]);
    return new Error(`A worker thread failed: ${new TextDecoder().decode(text)}`);
  }

  /** Puts the bytes where workers find them: the length, padding up to 64 bytes, the module. */
  #publish(bytes: Uint8Array): number {
    const entry = this.#memory.reserve(64 + bytes.length);
    this.#memory.i32[entry >>> 2] = bytes.length;
    this.#memory.u8.set(bytes, entry + 64);
    return entry;
  }
}

function call(job: Job, chunk: number): void {
  const { args, argCount, scratchSlot } = job;
  const mine = Array.from(args.subarray(chunk * argCount, (chunk + 1) * argCount));
  if (scratchSlot >= 0) mine[scratchSlot] = job.scratchBase;
  job.fn(...mine);
}

/**
 * Joins chunks into a job.
 * @param args One array of arguments for each chunk, all of the same length
 */
export function makeJob(
  target: Pick<Job, "fn" | "module" | "exportIndex">,
  args: readonly (readonly number[])[],
  scratch?: { slot: number; base: number; stride: number },
): Job {
  const argCount = args[0].length;
  if (args.length > MAX_CHUNKS || args.length * argCount > JOB_WORDS) {
    throw new RangeError(`Cannot run ${args.length} chunks of ${argCount} arguments in one job`);
  }
  return {
    ...target,
    args: Int32Array.from(args.flat()),
    argCount,
    chunks: args.length,
    scratchSlot: scratch?.slot ?? -1,
    scratchBase: scratch?.base ?? 0,
    scratchStride: scratch?.stride ?? 0,
  };
}
