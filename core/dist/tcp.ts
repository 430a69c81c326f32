import { Worker } from "node:worker_threads";
import { env } from "../env.ts";
import {
  checkCollective,
  type Collective,
  type CommArray,
  type CommDType,
  type ReduceOp,
} from "./collective.ts";
import type { Comm, Work } from "./comm.ts";
import { ControlBlock, type Place, SLOTS, State, Word } from "./control.ts";
import { captureSite, describeSite } from "./call_site.ts";
import { heartbeatTimeout, type Rank, RankEnv, SECONDARY_FAILURE } from "./rank.ts";
import type { TcpMessage, TcpWorkerData } from "./tcp_worker.ts";

/** Longest wait for a sign of life of the communicator thread, in milliseconds. */
const ALIVE_MS = 5000;
const CLOSE_MS = 2000;

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
  #shared = 0;
  readonly #nothing = new SharedArrayBuffer(0);
  /** Where the last calls were made, by their numbers. */
  #sites: Error[] = [];
  #stopListening = () => {};

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
      heartbeat: heartbeatTimeout(),
      launcher: Number(env(RankEnv.launcherPid) ?? 0),
      reportDir: env(RankEnv.reportDir),
      device: env(RankEnv.device) || "default",
      sharesMemory: env(RankEnv.sharedMemory) !== "0",
    };
    const worker = new Worker(workerUrl(), { workerData });
    worker.unref();
    const comm = new TcpComm(rank, worker, control);
    comm.#block(Word.state, () => control.get(Word.state) !== State.starting, "join");
    if (control.get(Word.state) === State.failed) {
      worker.terminate();
      throw new Error(`Cannot join as rank ${rank.rank} of ${rank.worldSize}: ${control.error}`);
    }
    comm.#listen();
    return comm;
  }

  allReduce(data: CommArray, op: ReduceOp = "sum", as?: "bfloat16"): Work {
    return this.#post(
      checkCollective("allReduce", this.worldSize, { input: data, reduce: op, as }),
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
    this.#abort(reason, this.rank);
  }

  close(): void {
    if (this.#ended) return;
    try {
      this.#waitFor(this.#control.get(Word.posted), "close");
    } finally {
      this.#ended = "the communicator is closed";
      this.#stopListening();
      this.#tell({ close: true });
      this.#stop(State.closed);
    }
  }

  /**
   * Says that the devices are about to sum `length` elements over the ranks, so that ranks which call something else are
   * named instead of waiting for each other. Does not block.
   */
  announce(dtype: CommDType, length: number): void {
    const none = new Int32Array(this.#nothing);
    const call = { name: "announce", dtype, reduce: "sum", root: length } as const;
    this.#post({ ...call, input: none, output: none });
  }

  /**
   * Replaces a few bytes on all ranks by those of one, encrypted and by way of the main rank: for what strangers must not
   * see, such as the id by which ranks of NCCL find each other. All ranks must call it in the same order.
   *
   * @param data At most 1 MiB, the same length on all ranks
   * @throws {Error} If a rank is lost, or does not come within the timeout
   */
  share(data: Uint8Array, root = 0): void {
    if (this.#ended) throw new Error(`Cannot share: ${this.#ended}`);
    const memory = new SharedArrayBuffer(8 + data.length), words = new Int32Array(memory, 0, 2);
    const bytes = new Uint8Array(memory, 8);
    bytes.set(data);
    this.#tell({ share: this.#shared++, memory, isRoot: this.rank === root });
    while (Atomics.load(words, 0) === 0) {
      this.check();
      Atomics.wait(words, 0, 0, 100);
    }
    if (words[1] !== data.length) {
      throw new Error(`Cannot share ${data.length} bytes: rank ${root} has not sent them in time`);
    }
    data.set(bytes);
  }

  /**
   * Raises the failure of the group, if there is one. For those who wait for something else than a collective.
   *
   * @throws {Error} If a rank is lost, stops, or calls something else
   */
  check(): void {
    this.#control.answerSite(this.#siteOf);
    if (this.#control.get(Word.state) === State.failed) throw this.#failure();
  }

  /** An uncaught error, or an exit with a code, is the reason that the other ranks are told. */
  #listen(): void {
    const events = new AbortController();
    const options = { signal: events.signal };
    this.#stopListening = () => events.abort();
    const because = (error: unknown) => {
      const at = describeSite(error), text = String(error);
      // who stops because of another rank must not be taken for the cause
      const blamed = SECONDARY_FAILURE.exec(text);
      const origin = blamed === null ? this.rank : Number(blamed[1]);
      const own = text.replace(/^.*?\bStopped by rank \d+: /s, "");
      this.#abort(`${own}${at ? `, at ${at}` : ""}`.slice(0, 2000), origin);
    };
    addEventListener("error", (event) => because(event.error), options);
    addEventListener("unhandledrejection", (event) => because(event.reason), options);
    addEventListener("unload", () => {
      if (Deno.exitCode !== 0) return this.abort(`it ended with exit code ${Deno.exitCode}`);
      this.#ended = "the program ends";
      this.#tell({ close: true });
      this.#stop(State.closed);
    }, options);
  }

  #abort(reason: string, origin: number): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#stopListening();
    this.#tell({ abort: reason, origin });
    this.#stop(State.failed);
  }

  /** The error of the group; from now on the program knows of it. */
  #failure(): Error {
    this.#control.set(Word.noticed, 1);
    return new Error(this.#control.error);
  }

  readonly #siteOf = (seq: number): string => describeSite(this.#sites[(seq >>> 0) % SLOTS]);

  #post(call: Collective): Work {
    const control = this.#control;
    control.answerSite(this.#siteOf);
    if (this.#ended) throw new Error(`Cannot ${call.name}: ${this.#ended}`);
    const posted = control.get(Word.posted);
    if (posted - control.get(Word.done) >= SLOTS) this.#waitFor(posted - SLOTS + 1, call.name);
    if (control.get(Word.state) === State.failed) throw this.#failure();
    const input = this.#share(call.input, true);
    const output = call.output === call.input ? input : this.#share(call.output, false);
    this.#sites[(posted >>> 0) % SLOTS] = captureSite();
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
    if (!isDone()) throw this.#failure();
  }

  /** Blocks until `ready`, as long as the thread shows signs of life: deadlines are the thread's business. */
  #block(word: number, ready: () => boolean, what: string): void {
    const control = this.#control;
    const { words } = control;
    let beat = -1;
    let silent = 0;
    control.set(Word.waiting, 1);
    try {
      while (true) {
        const seen = Atomics.load(words, word);
        if (ready()) return;
        control.answerSite(this.#siteOf);
        if (Atomics.wait(words, word, seen, ALIVE_MS) !== "timed-out") continue;
        const now = control.get(Word.beat);
        silent = now === beat ? silent + 1 : 0;
        beat = now;
        if (silent > 2) {
          throw new Error(`Cannot ${what}: the communicator thread does not answer`);
        }
      }
    } finally {
      control.set(Word.waiting, 0);
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

  /** Gives the thread a moment to tell the others, and ends it. */
  #stop(state: number): void {
    const control = this.#control;
    const end = Date.now() + CLOSE_MS;
    while (control.get(Word.left) === 0 && Date.now() < end) {
      control.answerSite(this.#siteOf);
      Atomics.wait(control.words, Word.left, 0, 50);
    }
    if (control.get(Word.state) < State.failed) control.set(Word.state, state);
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
