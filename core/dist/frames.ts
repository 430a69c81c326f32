/** Frames on the connection of two neighbours in the ring: kind, number of the collective, length, payload. */
import { writeAll } from "./auth.ts";

/**
 * What a frame is about. `open` comes before the data of every collective and says what the sender has called; `shared`
 * is data that lies in memory which both processes see; `credit` says that such memory may be used again.
 */
export const Kind = { open: 1, data: 2, abort: 3, bye: 4, shared: 5, credit: 6 } as const;

/** Bytes of data in one frame at most; a multiple of every element size. */
export const CHUNK = 1 << 20;
const HEAD = 16;
const CAPACITY = 4 * (CHUNK + HEAD);
const MAGIC = 0x70746131;

/** One frame; the payload is valid until the next one is asked for. */
export interface Frame {
  readonly kind: number;
  readonly seq: number;
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** Reads frames. Payloads start at multiples of 16 bytes, so typed arrays can be laid over them. */
export class FrameReader {
  #buffer = new Uint8Array(CAPACITY);
  #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;

  /** @param progress Called whenever bytes have come in */
  constructor(readonly conn: Deno.Conn, readonly progress: () => void) {}

  /**
   * The next frame, or `undefined` when the peer has closed the connection.
   *
   * @throws {Error} If the connection breaks or carries something else
   */
  async next(): Promise<Frame | undefined> {
    if (!await this.#need(HEAD)) return undefined;
    const at = this.#start;
    const word = this.#view.getUint32(at);
    const kind = this.#view.getUint32(at + 4);
    const seq = this.#view.getInt32(at + 8);
    const length = this.#view.getUint32(at + 12);
    if (word !== MAGIC || length > CHUNK) throw new Error("Cannot read the frame: malformed");
    const size = HEAD + padded(length);
    if (!await this.#need(size)) return undefined;
    // #need may have moved the bytes
    const from = this.#start + HEAD;
    this.#start += size;
    return { kind, seq, payload: this.#buffer.subarray(from, from + length) };
  }

  async #need(bytes: number): Promise<boolean> {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    while (this.#end - this.#start < bytes) {
      if (this.#start + bytes > CAPACITY) {
        this.#buffer.copyWithin(0, this.#start, this.#end);
        this.#end -= this.#start;
        this.#start = 0;
      }
      const n = await this.conn.read(this.#buffer.subarray(this.#end));
      if (n === null) return false;
      this.#end += n;
      this.progress();
    }
    return true;
  }
}

/** Writes frames, one after the other, in the order of the calls. */
export class FrameWriter {
  #buffer = new Uint8Array(CHUNK + HEAD);
  #view = new DataView(this.#buffer.buffer);
  #last: Promise<void> = Promise.resolve();

  /** @param progress Called whenever bytes have gone out */
  constructor(readonly conn: Deno.Conn, readonly progress: () => void) {}

  /** Resolves once the system has taken the frame. `payload` must not change before. */
  send(kind: number, seq: number, payload: Uint8Array): Promise<void> {
    this.#last = this.#last.then(() => this.#write(kind, seq, payload));
    return this.#last;
  }

  async #write(kind: number, seq: number, payload: Uint8Array): Promise<void> {
    this.#view.setUint32(0, MAGIC);
    this.#view.setUint32(4, kind);
    this.#view.setInt32(8, seq);
    this.#view.setUint32(12, payload.length);
    // one write for head and payload: a write of its own for 16 bytes costs more than the copy
    this.#buffer.set(payload, HEAD);
    await writeAll(this.conn, this.#buffer.subarray(0, HEAD + padded(payload.length)));
    this.progress();
  }
}

function padded(length: number): number {
  return (length + 15) & ~15;
}
