/**
 * Collectives over a ring of connections; runs in the communicator thread. One class, since all of them share the buffers and the turn of
 * the ring.
 */
import { type Collective, type CommArray, describe, DTYPES } from "./collective.ts";
import { sleep } from "./deadline.ts";
import { type Frame, FrameReader, FrameWriter, Kind } from "./frames.ts";
import {
  explain,
  type Failure,
  type FailureReport,
  type Mismatch,
  readFailure,
} from "./failure.ts";
import { COMBINE, planRing, type ReceivePiece } from "./plan.ts";
import { tryClose } from "./auth.ts";
import { type Slots, SMALL } from "./slots.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A neighbour that vanished without a word is waited for this long, as its last messages may still be under way. */
const GONE_MS = 2000;
const ABORT_MS = 200;

/** What the ring asks of its surroundings. */
export interface RingHooks {
  /** Reports a failure and returns the one that the group has agreed on. */
  decide(report: FailureReport): Promise<Failure>;
  /** Where the program has made a call; may be empty. */
  site(seq: number): Promise<string>;
  /** Called once, when the group has ended with a failure. */
  failed(): void;
}

/** The collective under way, or the last one. */
export interface Current {
  readonly seq: number;
  readonly name: string;
  /** Where it was called, once somebody has asked. */
  site: string;
  readonly since: number;
  running: boolean;
}

/** Two neighbours have called different things. */
class MismatchError extends Error {
  constructor(message: string, readonly mismatch: Mismatch) {
    super(message);
  }
}

/**
 * One rank's place in the ring: it receives from the rank before and sends to the rank after. Each connection's other
 * direction carries only bad news.
 */
export class Ring {
  readonly prev: number;
  readonly next: number;
  #in: FrameReader;
  #out: FrameWriter;
  #upstream: FrameWriter;
  #downstream: FrameReader;
  #ahead: Promise<Frame | undefined> | undefined;
  #current: Current | undefined;
  #failing = false;
  #heard = false;
  #sending = false;
  #lastProgress = performance.now();
  #nextGone = false;
  #left = new Set<number>();
  #failure: Failure | undefined;
  #failed = Promise.withResolvers<never>();

  constructor(
    readonly rank: number,
    readonly worldSize: number,
    readonly timeoutMs: number,
    private readonly fromPrev: Deno.Conn,
    private readonly toNext: Deno.Conn,
    private readonly hooks: RingHooks,
    private readonly slots: { readonly out: Slots | undefined; readonly in: Slots | undefined },
  ) {
    this.prev = (rank + worldSize - 1) % worldSize;
    this.next = (rank + 1) % worldSize;
    const progress = () => void (this.#lastProgress = performance.now());
    this.#in = new FrameReader(fromPrev, progress);
    this.#out = new FrameWriter(toNext, progress);
    this.#upstream = new FrameWriter(fromPrev, () => {});
    this.#downstream = new FrameReader(toNext, () => {});
    this.#failed.promise.catch(() => {});
    this.#ahead = this.#read();
    this.#listenDownstream();
  }

  /** The failure that has ended the group, in words. */
  get error(): string | undefined {
    if (this.#failure === undefined) return undefined;
    return explain(this.#failure, this.rank, this.#current?.running ? inWords(this.#current) : "");
  }

  /** The collective under way, or the last one. */
  get current(): Current | undefined {
    return this.#current;
  }

  /**
   * Carries out one collective.
   *
   * @throws {Error} If the group ends before it is complete
   */
  async run(call: Collective, seq: number): Promise<void> {
    const name = describe(call);
    const now = performance.now();
    const current = { seq, name, site: "", since: now, running: true };
    this.#current = current;
    this.#lastProgress = now;
    this.#heard = false;
    if (this.#failure !== undefined) throw new Error(this.error);
    try {
      const work = this.#exchange(call, seq, name);
      work.catch(() => {});
      await Promise.race([work, this.#failed.promise]);
    } catch (error) {
      const failure = { origin: this.rank, lost: -1, text: (error as Error).message };
      const mismatch = error instanceof MismatchError ? error.mismatch : undefined;
      await this.fail(mismatch === undefined ? { failure } : { failure, mismatch });
      await this.#failed.promise.catch(() => {});
      throw new Error(this.error);
    }
    current.running = false;
  }

  /** Looks for a standstill; to be called every quarter of a second or so. */
  tick(): void {
    if (!this.#current?.running || this.#failing) return;
    const still = performance.now() - this.#lastProgress;
    if (this.#nextGone && still > GONE_MS) this.#lose(this.next, this.#goneBecause(this.next));
    // Who has not heard its neighbour's call at all knows best who is missing, and speaks first.
    const limit = this.#heard
      ? this.timeoutMs + Math.min(1000, this.timeoutMs / 2)
      : this.timeoutMs;
    if (still < limit) return;
    const seconds = Math.round(still / 100) / 10;
    if (!this.#heard) this.#lose(this.prev, `it did not take part for ${seconds} s`);
    else if (this.#sending) this.#lose(this.next, `it took no data for ${seconds} s`);
    else this.#lose(this.prev, `it sent no data for ${seconds} s`);
  }

  /** Ends the group: the ranks agree on the reason, and the neighbours are told. */
  async fail(report: FailureReport): Promise<void> {
    if (this.#failing) return;
    this.#failing = true;
    this.accept(await this.hooks.decide(report));
  }

  /** Takes the failure on which the group has agreed; the first one stays. */
  accept(failure: Failure): void {
    if (this.#failure !== undefined) return;
    this.#failing = true;
    this.#failure = failure;
    const current = this.#current;
    const isKnown = !current?.running || current.seq < 0 || current.site !== "";
    const site = isKnown ? Promise.resolve() : this.hooks.site(current.seq).then((site) => {
      current.site = site;
    });
    const news = new TextEncoder().encode(JSON.stringify(failure));
    const told = Promise.allSettled([
      this.#upstream.send(Kind.abort, 0, news),
      this.#out.send(Kind.abort, 0, news),
    ]);
    Promise.race([Promise.all([told, site]), sleep(2 * ABORT_MS)]).then(() => {
      this.#failed.reject(new Error(this.error));
      this.hooks.failed();
      // closing at once could overtake the news
      setTimeout(() => this.#close(), ABORT_MS);
    });
  }

  /** Leaves in good order. */
  async leave(): Promise<void> {
    if (this.#failure !== undefined) return;
    const empty = new Uint8Array();
    const told = Promise.allSettled([
      this.#upstream.send(Kind.bye, 0, empty),
      this.#out.send(Kind.bye, 0, empty),
    ]);
    await Promise.race([told, sleep(ABORT_MS)]);
    this.#close();
  }

  async #exchange(call: Collective, seq: number, name: string): Promise<void> {
    if (this.#left.has(this.next)) await this.#lose(this.next, this.#goneBecause(this.next));
    const n = this.worldSize;
    const data = prepare(call, this.rank);
    const { sends, receives } = planRing(call, data.length, this.rank, n);
    let received = 0;
    let wake: (() => void) | undefined;

    const send = async () => {
      await this.#send(Kind.open, seq, new TextEncoder().encode(name));
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const width = data.BYTES_PER_ELEMENT;
      for (const { start, end, after } of sends) {
        while (received < after) await new Promise<void>((go) => wake = go);
        await this.#sendData(seq, bytes.subarray(start * width, end * width));
      }
    };
    const receive = async () => {
      await this.#checkOpen(await this.#receive(), seq, name);
      this.#heard = true;
      for (const piece of receives) {
        const frame = await this.#receive();
        const isShared = frame.kind === Kind.shared;
        if ((frame.kind !== Kind.data && !isShared) || frame.seq !== seq) {
          throw new Error(`Cannot go on with ${name}: rank ${this.prev} sent something else`);
        }
        if (isShared) this.#takeShared(frame, (bytes) => store(call, data, piece, bytes, n));
        else store(call, data, piece, frame.payload, n);
        received++;
        wake?.();
      }
      this.#ahead = this.#read();
    };
    await Promise.all([send(), receive()]);
    complete(call, data, this.rank);
  }

  async #checkOpen(frame: Frame, seq: number, name: string): Promise<void> {
    const theirs = new TextDecoder().decode(frame.payload);
    if (frame.kind === Kind.open && frame.seq === seq && theirs === name) return;
    const other = frame.seq === seq ? theirs : `${theirs} as collective #${frame.seq}`;
    const site = await this.hooks.site(seq);
    const own = site === "" ? name : `${name} at ${site}`;
    const { rank, prev } = this;
    throw new MismatchError(
      `Cannot run collective #${seq}: rank ${rank} called ${own}, rank ${prev} called ${other}`,
      { seq, ranks: [rank, prev], calls: [own, other] },
    );
  }

  /** Data goes through shared memory where there is some. */
  async #sendData(seq: number, bytes: Uint8Array): Promise<void> {
    const { out } = this.slots;
    if (out === undefined || bytes.length < SMALL) return await this.#send(Kind.data, seq, bytes);
    this.#sending = true;
    const slot = await out.put(bytes);
    await this.#send(Kind.shared, seq, new Uint8Array(Uint32Array.of(slot, bytes.length).buffer));
  }

  #takeShared({ payload, seq }: Frame, use: (bytes: Bytes) => void): void {
    const [slot, length] = new Uint32Array(payload.slice().buffer);
    if (this.slots.in === undefined) throw new Error("Cannot read the frame: malformed");
    use(this.slots.in.get(slot, length));
    const word = new Uint8Array(Uint32Array.of(slot).buffer);
    // a neighbour that is gone is noticed elsewhere
    this.#upstream.send(Kind.credit, seq, word).catch(() => {});
  }

  async #send(kind: number, seq: number, payload: Uint8Array): Promise<void> {
    this.#sending = true;
    try {
      await this.#out.send(kind, seq, payload);
    } catch {
      // the reason may be on its way from the other side
      await sleep(ABORT_MS / 2);
      await this.#lose(this.next, this.#goneBecause(this.next));
    }
    this.#sending = false;
  }

  /** The next frame of a collective; ends the group when the rank before has nothing more to say. */
  async #receive(): Promise<Frame> {
    const coming = this.#ahead ?? this.#read();
    this.#ahead = undefined;
    const frame = await coming;
    if (frame !== undefined) return frame;
    return await this.#lose(this.prev, this.#goneBecause(this.prev));
  }

  /** Reads from the rank before, also between collectives, so that bad news travels on without delay. */
  async #read(): Promise<Frame | undefined> {
    const frame = await this.#in.next().catch(() => undefined);
    return this.#hear(frame, this.prev) ? frame : undefined;
  }

  async #listenDownstream(): Promise<void> {
    let frame;
    do {
      frame = await this.#downstream.next().catch(() => undefined);
    } while (this.#hear(frame, this.next));
    this.#nextGone = true;
  }

  /** Takes note of bad news; false when nothing more will come from that rank. */
  #hear(frame: Frame | undefined, from: number): boolean {
    if (frame === undefined) return false;
    if (frame.kind === Kind.credit) {
      this.#lastProgress = performance.now();
      this.slots.out?.release(new Uint32Array(frame.payload.slice().buffer)[0]);
      return true;
    }
    if (frame.kind === Kind.bye) this.#left.add(from);
    if (frame.kind !== Kind.abort) return frame.kind !== Kind.bye;
    this.accept(readFailure(JSON.parse(new TextDecoder().decode(frame.payload))));
    return false;
  }

  #goneBecause(rank: number): string {
    return this.#left.has(rank) ? "it has left the group" : "its connection is closed";
  }

  #lose(rank: number, text: string): Promise<never> {
    this.fail({ failure: { origin: this.rank, lost: rank, text } });
    return this.#failed.promise;
  }

  #close(): void {
    tryClose(this.fromPrev);
    tryClose(this.toNext);
  }
}

/** The collective and its place in the program, for people. */
export function inWords({ seq, name, site }: Current): string {
  if (seq < 0) return "the first meeting";
  return `${name}, collective #${seq}${site ? `, at ${site}` : ""}`;
}

/** The array in which the collective takes place. */
function prepare(call: Collective, rank: number): CommArray {
  if (call.name === "allGather") put(call.output, rank * call.input.length, call.input);
  // the caller's input stays as it is
  return call.name === "reduceScatter" ? call.input.slice() : call.output;
}

function store(call: Collective, data: CommArray, piece: ReceivePiece, bytes: Bytes, n: number) {
  const { start, end, reduces, finish } = piece;
  if (bytes.length !== (end - start) * data.BYTES_PER_ELEMENT) {
    throw new Error(`Cannot go on with ${describe(call)}: received ${bytes.length} bytes`);
  }
  const values = DTYPES[call.dtype].make(bytes.buffer, bytes.byteOffset, end - start);
  if (!reduces) return put(data, start, values);
  COMBINE[call.dtype][call.reduce](data, start, values, finish ? n : 1);
}

function complete(call: Collective, data: CommArray, rank: number): void {
  if (call.name !== "reduceScatter") return;
  const { length } = call.output;
  put(call.output, 0, data.subarray(rank * length, (rank + 1) * length));
}

function put(to: CommArray, at: number, from: CommArray): void {
  // both have one type, which the caller's checks have made sure of
  (to as Float32Array).set(from as Float32Array, at);
}
