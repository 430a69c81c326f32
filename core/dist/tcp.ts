import { Worker } from "node:worker_threads";
import { env } from "../env.ts";
import { checkCollective, type Collective, type CommArray, type ReduceOp } from "./collective.ts";
import type { Comm, Work } from "./comm.ts";
import { ControlBlock, type Place, SLOTS, State, Word } from "./control.ts";
import { type Rank, RankEnv } from "./rank.ts";
import type { TcpMessage, TcpWorkerData } from "./tcp_worker.ts";

/** Longest wait for a sign of life of the communicator thread, in milliseconds. */
const ALIVE_MS = 5000;
const CLOSE_MS = 1000;

/** A view in memory that the thread can see; `release` copies a result back and frees the staging buffer. */
interface Shared {
  readonly place: Place;
  release(copyBack: boolean): void;
}

/**
 * Communicator of CPU ranks over TCP. A thread of its own runs the connections; this side puts calls into shared memory
 * and blocks in `wait()`. Data in shared memory is used where it lies, other data goes through a copy.
 */
export class TcpComm implements Comm {
  readonly rank: number;
  readonly worldSize: number;
  #worker: Worker;
  #control: ControlBlock;
  #ids = new WeakMap<SharedArrayBuffer, number>();
  #nextId = 0;
  #idle = new Map<number, SharedArrayBuffer[]>();
  #ended = "";

  private constructor(rank: Rank, worker: Worker, control: ControlBlock) {
    this.rank = rank.rank;
    this.worldSize = rank.worldSize;
    this.#worker = worker;
    this.#control = control;
  }

  /**
   * Meets the other ranks at the store of rank 0; blocks until all are connected.
   *
   * @param seconds Longest wait for the others, and longest standstill of a later operation
   * @throws {Deno.errors.NotCapable} If network access is not granted
   * @throws {RangeError} If there is no launch secret
   * @throws {Error} If the ranks do not meet in time
   */
  static join(rank: Rank, seconds: number): TcpComm {
    if (Deno.permissions.querySync({ name: "net" }).state !== "granted") {
      throw new Deno.errors.NotCapable(
        `Cannot connect ${rank.worldSize} ranks: network access is not granted, run with --allow-net`,
      );
    }
    const control = new ControlBlock();
    const workerData: TcpWorkerData = {
      control: control.memory,
      rank: rank.rank,
      worldSize: rank.worldSize,
      masterAddr: rank.masterAddr,
      masterPort: rank.masterPort,
      secret: rank.secret,
      timeout: seconds,
      launcher: Number(env(RankEnv.launcherPid) ?? 0),
    };
    const worker = new Worker(workerUrl(), { workerData });
    worker.unref();
    const comm = new TcpComm(rank, worker, control);
    comm.#block(Word.state, () => control.get(Word.state) !== State.starting, "join");
    if (control.get(Word.state) === State.failed) {
      worker.terminate();
      throw new Error(`Cannot join as rank ${rank.rank} of ${rank.worldSize}: ${control.error}`);
    }
    return comm;
  }

  allReduce(data: CommArray, op: ReduceOp = "sum"): Work {
    return this.#post(
      checkCollective("allReduce", this.worldSize, { input: data, reduce: op }),
    );
  }

  reduceScatter(input: CommArray, output: CommArray, op: ReduceOp = "sum"): Work {
    return this.#post(
      checkCollective("reduceScatter", this.worldSize, { input, output, reduce: op }),
    );
  }

  allGather(input: CommArray, output: CommArray): Work {
    return this.#post(checkCollective("allGather", this.worldSize, { input, output }));
  }

  broadcast(data: CommArray, root = 0): Work {
    return this.#post(checkCollective("broadcast", this.worldSize, { input: data, root }));
  }

  barrier(): void {
    this.#post(checkCollective("barrier", this.worldSize, { input: new Int32Array(1) })).wait();
  }

  abort(reason = "abort() was called"): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#tell({ abort: `Rank ${this.rank} ended the group: ${reason}` });
    this.#stop(State.failed);
  }

  close(): void {
    if (this.#ended) return;
    try {
      this.#waitFor(this.#control.get(Word.posted), "close");
    } finally {
      this.#ended = "the communicator is closed";
      this.#tell({ close: true });
      this.#stop(State.closed);
    }
  }

  #post(call: Collective): Work {
    const control = this.#control;
    if (this.#ended) throw new Error(`Cannot ${call.name}: ${this.#ended}`);
    const posted = control.get(Word.posted);
    if (posted - control.get(Word.done) >= SLOTS) this.#waitFor(posted - SLOTS + 1, call.name);
    if (control.get(Word.state) === State.failed) throw new Error(control.error);
    const input = this.#share(call.input, true);
    const output = call.output === call.input ? input : this.#share(call.output, false);
    control.writeCall(posted, call, input.place, output.place);
    const seq = (posted + 1) | 0;
    control.set(Word.posted, seq);
    let waited = false;
    return {
      wait: () => {
        if (waited) return;
        this.#waitFor(seq, call.name);
        waited = true;
        output.release(true);
        if (input !== output) input.release(false);
      },
    };
  }

  /** Blocks until call number `seq` is complete. */
  #waitFor(seq: number, what: string): void {
    const control = this.#control;
    const isDone = () => ((control.get(Word.done) - seq) | 0) >= 0;
    this.#block(
      Word.done,
      () => isDone() || control.get(Word.state) === State.failed,
      what,
    );
    // a call that was complete before the group failed is complete
    if (!isDone()) throw new Error(control.error);
  }

  /** Blocks until `ready`, as long as the thread shows signs of life: deadlines are the thread's business. */
  #block(word: number, ready: () => boolean, what: string): void {
    const { words } = this.#control;
    let beat = -1;
    let silent = 0;
    while (true) {
      const seen = Atomics.load(words, word);
      if (ready()) return;
      if (Atomics.wait(words, word, seen, ALIVE_MS) !== "timed-out") continue;
      const now = this.#control.get(Word.beat);
      silent = now === beat ? silent + 1 : 0;
      beat = now;
      if (silent > 2) throw new Error(`Cannot ${what}: the communicator thread does not answer`);
    }
  }

  #share(data: CommArray, copyIn: boolean): Shared {
    const { length, byteOffset, byteLength, buffer } = data;
    if (buffer instanceof SharedArrayBuffer) {
      const place = { buffer: this.#idOf(buffer), offset: byteOffset, length };
      return { place, release() {} };
    }
    // sizes are rounded to powers of two, so that buffers find further use
    const size = 2 ** Math.ceil(Math.log2(Math.max(byteLength, 1024)));
    const free = this.#idle.get(size) ?? [];
    this.#idle.set(size, free);
    const memory = free.pop() ?? new SharedArrayBuffer(size);
    const bytes = new Uint8Array(memory, 0, byteLength);
    const own = new Uint8Array(buffer, byteOffset, byteLength);
    if (copyIn) bytes.set(own);
    return {
      place: { buffer: this.#idOf(memory), offset: 0, length },
      release(copyBack) {
        if (copyBack) own.set(bytes);
        free.push(memory);
      },
    };
  }

  #idOf(memory: SharedArrayBuffer): number {
    let id = this.#ids.get(memory);
    if (id === undefined) {
      id = this.#nextId++;
      this.#ids.set(memory, id);
      this.#tell({ buffer: id, memory });
    }
    return id;
  }

  #tell(message: TcpMessage): void {
    this.#worker.postMessage(message);
  }

  /** Gives the thread a moment to tell the neighbours, and ends it. */
  #stop(state: number): void {
    const control = this.#control;
    const end = Date.now() + CLOSE_MS;
    while (control.get(Word.state) < State.failed && Date.now() < end) {
      const seen = control.get(Word.state);
      if (seen === state) break;
      Atomics.wait(control.words, Word.state, seen, 50);
    }
    this.#worker.terminate();
  }
}

/** Makes the file part of every bundle and cache that has this one; never called. */
export const includeWorker = (): Promise<unknown> => import("./tcp_worker.ts");

/** Threads start from files and data only; a module from the network is imported by a line of data. */
function workerUrl(): URL {
  const url = new URL("./tcp_worker.ts", import.meta.url);
  if (url.protocol === "file:") return url;
  return new URL(
    `data:text/javascript,${encodeURIComponent(`import ${JSON.stringify(url.href)};`)}`,
  );
}
