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
import { sleep } from "./deadline.ts";

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
  /** 1 once the thread has told the others that this rank leaves or has failed. */
  left: 37,
  /** The thread counts up to ask where call number `siteOf` was made; the program answers with the same number. */
  siteAsked: 35,
  siteOf: 36,
  siteGiven: 64,
  siteBytes: 65,
  /** 1 while the program is blocked. */
  waiting: 66,
  /** 1 once the program has raised the error of the group. */
  noticed: 67,
} as const;

/** Life of the communicator thread. */
export const State = { starting: 0, ready: 1, failed: 2, closed: 3 } as const;

/** Calls that may be under way at once. */
export const SLOTS = 128;
const SLOT_FIELDS = 10;
const SLOTS_AT = 512;
const ERROR_AT = SLOTS_AT + SLOTS * SLOT_FIELDS * 8;
const ERROR_BYTES = 8192;
const SITE_AT = ERROR_AT + ERROR_BYTES;
const SITE_BYTES = 512;
/** Longest wait for the program to say where a call was made, in milliseconds. */
const SITE_MS = 300;

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
  #site: Uint8Array;

  constructor(memory = new SharedArrayBuffer(SITE_AT + SITE_BYTES)) {
    this.memory = memory;
    this.words = new Int32Array(memory, 0, SLOTS_AT / 4);
    this.#slots = new Float64Array(memory, SLOTS_AT, SLOTS * SLOT_FIELDS);
    this.#error = new Uint8Array(memory, ERROR_AT, ERROR_BYTES);
    this.#site = new Uint8Array(memory, SITE_AT, SITE_BYTES);
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
    Atomics.store(this.words, Word.errorBytes, copyText(message, this.#error));
    this.set(Word.state, State.failed);
    Atomics.notify(this.words, Word.done);
  }

  /** Asks the program where it made a call; empty when it is busy with something else. */
  async askSite(seq: number): Promise<string> {
    const { words } = this;
    Atomics.store(words, Word.siteOf, seq);
    const asked = Atomics.add(words, Word.siteAsked, 1) + 1;
    // who waits for a result looks for questions when it is woken
    Atomics.notify(words, Word.done);
    for (const end = Date.now() + SITE_MS; Date.now() < end;) {
      if (this.get(Word.siteGiven) === asked) {
        return new TextDecoder().decode(this.#site.slice(0, this.get(Word.siteBytes)));
      }
      await sleep(5);
    }
    return "";
  }

  /** Answers the question of the thread, when there is one. */
  answerSite(siteOf: (seq: number) => string): void {
    const asked = this.get(Word.siteAsked);
    if (asked === this.get(Word.siteGiven)) return;
    Atomics.store(this.words, Word.siteBytes, copyText(siteOf(this.get(Word.siteOf)), this.#site));
    Atomics.store(this.words, Word.siteGiven, asked);
  }

  get error(): string {
    return new TextDecoder().decode(this.#error.slice(0, this.get(Word.errorBytes)));
  }
}

/** Returns the number of bytes; what does not fit is cut off. */
function copyText(text: string, to: Uint8Array): number {
  // encodeInto refuses shared memory, so the text goes through a copy
  const copy = new Uint8Array(to.length);
  const { written } = new TextEncoder().encodeInto(text, copy);
  to.set(copy);
  return written;
}
