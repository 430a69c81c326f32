/**
 * The block of shared memory between a rank's program and its communicator thread: counters that both sides wait on, a
 * queue of calls, and room for one error text.
 */
import {
  type Collective,
  COLLECTIVES,
  type CommArray,
  DTYPE_NAMES,
  DTYPES,
  REDUCE_OPS,
} from "./collective.ts";

/** Positions of 32-bit words; those that different threads write lie on different cache lines. */
export const Word = {
  /** Calls put into the queue so far; wraps around. */
  posted: 0,
  /** Calls completed so far. */
  done: 16,
  /** One of `State`. */
  state: 32,
  /** Counts up while the thread is alive. */
  beat: 33,
  errorBytes: 34,
} as const;

/** Life of the communicator thread. */
export const State = { starting: 0, ready: 1, failed: 2, closed: 3 } as const;

/** Calls that may be under way at once. */
export const SLOTS = 128;
const SLOT_FIELDS = 10;
const SLOTS_AT = 256;
const ERROR_AT = SLOTS_AT + SLOTS * SLOT_FIELDS * 8;
const ERROR_BYTES = 8192;

/** Where a view lies: number of the shared buffer, offset in bytes, number of elements. */
export interface Place {
  readonly buffer: number;
  readonly offset: number;
  readonly length: number;
}

/** Both sides' view of the block. */
export class ControlBlock {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  #slots: Float64Array;
  #error: Uint8Array;

  constructor(memory = new SharedArrayBuffer(ERROR_AT + ERROR_BYTES)) {
    this.memory = memory;
    this.words = new Int32Array(memory, 0, SLOTS_AT / 4);
    this.#slots = new Float64Array(memory, SLOTS_AT, SLOTS * SLOT_FIELDS);
    this.#error = new Uint8Array(memory, ERROR_AT, ERROR_BYTES);
  }

  get(word: number): number {
    return Atomics.load(this.words, word);
  }

  set(word: number, value: number): void {
    Atomics.store(this.words, word, value);
    Atomics.notify(this.words, word);
  }

  writeCall(seq: number, call: Collective, input: Place, output: Place): void {
    this.#slots.set([
      COLLECTIVES.indexOf(call.name),
      DTYPE_NAMES.indexOf(call.dtype),
      REDUCE_OPS.indexOf(call.reduce),
      call.root,
      input.buffer,
      input.offset,
      input.length,
      output.buffer,
      output.offset,
      output.length,
    ], (seq >>> 0) % SLOTS * SLOT_FIELDS);
  }

  /** Reads a call back; `buffer` finds shared memory by its number. */
  async readCall(
    seq: number,
    buffer: (id: number) => Promise<SharedArrayBuffer>,
  ): Promise<Collective> {
    const at = (seq >>> 0) % SLOTS * SLOT_FIELDS;
    const [name, type, reduce, root, ...places] = this.#slots.subarray(at, at + SLOT_FIELDS);
    const dtype = DTYPE_NAMES[type];
    const view = async (i: number): Promise<CommArray> =>
      DTYPES[dtype].make(await buffer(places[i]), places[i + 1], places[i + 2]);
    return {
      name: COLLECTIVES[name],
      dtype,
      reduce: REDUCE_OPS[reduce],
      root,
      input: await view(0),
      output: await view(3),
    };
  }

  /** Leaves the error of the thread and wakes everybody who waits. */
  fail(message: string): void {
    // encodeInto refuses shared memory, so the text goes through a copy
    const copy = new Uint8Array(ERROR_BYTES);
    const { written } = new TextEncoder().encodeInto(message, copy);
    this.#error.set(copy);
    Atomics.store(this.words, Word.errorBytes, written);
    this.set(Word.state, State.failed);
    Atomics.notify(this.words, Word.done);
  }

  get error(): string {
    return new TextDecoder().decode(this.#error.slice(0, this.get(Word.errorBytes)));
  }
}
