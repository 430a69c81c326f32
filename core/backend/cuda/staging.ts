/** Uploads of new buffers on a stream of their own, so that the next batch travels while this one is computed with. */
import type { CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Sizes of a {@linkcode Staging}. */
export interface StagingOptions {
  /** Bytes of a slab; 4 MiB by default. */
  readonly slab?: number;
  /** Bytes from which an upload is worth two events; 16 KiB by default. */
  readonly least?: number;
  /** Bytes up to which an upload is staged; 64 MiB by default. */
  readonly most?: number;
  /** Whether each upload has a slab of its own, so that whoever watches allocations sees which is meant. */
  readonly isExact?: boolean;
}

/** Slabs beside those that hold two uploads of the largest size so far. */
const SPARE = 4;
/** Pieces of a slab begin at multiples of this. */
const ALIGN = 256;

/** Pinned memory and its counterpart on the device. It is filled from front to back, closed, and opened again when nobody needs it any more. */
interface Slab {
  readonly pinned: Uint8Array<ArrayBuffer>;
  /** Device address. */
  readonly pointer: number;
  /** On the copy stream, after the last upload that `isRecorded` speaks of. */
  readonly copied: bigint;
  /** On the computing stream, after the last piece has been taken. */
  readonly taken: bigint;
  used: number;
  isOpen: boolean;
  /** Whether `copied` covers all uploads. */
  isRecorded: boolean;
  /** Whether the computing stream waits for all uploads. */
  isAwaited: boolean;
  /** Uploads with pieces in it that may still be asked for. */
  readonly waiting: Set<Staged>;
}

/** A part of an upload. */
interface Piece {
  readonly slab: Slab;
  /** Byte in the slab. */
  readonly from: number;
  /** Byte in the buffer. */
  readonly to: number;
  readonly bytes: number;
}

/** An upload that has not reached its buffer yet. */
export interface Staged {
  /** Where it belongs. */
  readonly buffer: CudaBuffer;
  /** Copies it to a device address, in the order of the computing stream. */
  readonly take: (pointer: number) => void;
  /** Lets go of its slabs. */
  readonly drop: () => void;
}

/**
 * Uploads to buffers that no launch knows yet. The data goes through pinned memory to a slab on the device, by a stream that waits for nothing but
 * the slab; only when the buffer is asked for does the computing stream wait for it and copy it over, at the speed of device memory. A captured step
 * takes its arguments out of the slab directly.
 *
 * A slab is filled again when the host sees that its copies have left pinned memory, and the copy stream has been told to wait until the computing
 * stream has taken all pieces.
 */
export class Staging {
  readonly #runtime: CudaRuntime;
  readonly #slab: number;
  readonly #least: number;
  readonly #most: number;
  readonly #isExact: boolean;
  #stream: bigint | undefined;
  /** In the order in which they were closed; the last one may be open. */
  readonly #slabs: Slab[] = [];
  #allowed = SPARE;
  #isFull = false;

  /**
   * Holds nothing yet.
   * @param runtime The device
   * @param options Sizes
   */
  constructor(runtime: CudaRuntime, options: StagingOptions = {}) {
    const { slab = 4 << 20, least = 16 << 10, most = 64 << 20, isExact = false } = options;
    this.#runtime = runtime;
    this.#slab = slab;
    this.#least = least;
    this.#most = most;
    this.#isExact = isExact;
    runtime.onShort(() => this.trim());
  }

  /** Slabs so far. */
  get slabs(): number {
    return this.#slabs.length;
  }

  /**
   * Takes over a buffer's first contents; they may change as soon as this returns.
   *
   * @returns Whether it did: the buffer must be new, the data all of it, and of a size that is worth it
   */
  upload(buffer: CudaBuffer, bytes: Uint8Array): boolean {
    if (!buffer.isNew || bytes.length !== buffer.bytes || bytes.length > this.#most) return false;
    // Beside another upload that is waited for anyway, a small one costs no event.
    const open = this.#slabs.at(-1), rides = open?.isOpen === true && !open.isAwaited;
    if (bytes.length === 0 || (bytes.length < this.#least && !rides)) return false;
    const count = Math.ceil(bytes.length / this.#slab);
    this.#allowed = Math.max(this.#allowed, SPARE + 2 * count);
    const pieces: Piece[] = [];
    const staged: Staged = {
      buffer,
      take: (pointer) => this.#take(pieces, pointer),
      drop: () => {
        for (const { slab } of pieces) slab.waiting.delete(staged);
      },
    };
    const { driver } = this.#runtime;
    for (let to = 0; to < bytes.length;) {
      const slab = this.#room(staged);
      if (slab === undefined) {
        staged.drop();
        return false;
      }
      const from = slab.used, size = Math.min(this.#slab - from, bytes.length - to);
      const place = slab.pinned.subarray(from, from + size);
      place.set(bytes.subarray(to, to + size));
      driver.cuMemcpyHtoDAsync(slab.pointer + from, place, size, this.#copies());
      slab.used = this.#isExact ? this.#slab : Math.ceil((from + size) / ALIGN) * ALIGN;
      slab.isRecorded = slab.isAwaited = false;
      slab.waiting.add(staged);
      pieces.push({ slab, from, to, bytes: size });
      to += size;
    }
    buffer.stage(staged);
    return true;
  }

  /** Gives back the slabs that nobody needs, once their copies have ended. */
  trim(): void {
    const runtime = this.#runtime, { driver } = runtime, last = this.#slabs.at(-1);
    if (last?.isOpen) this.#close(last);
    const kept = this.#slabs.filter((slab) => slab.waiting.size > 0);
    for (const { pinned, pointer, copied, taken } of this.#slabs.filter((s) => !kept.includes(s))) {
      for (const event of [copied, taken]) {
        driver.cuEventSynchronize(event);
        driver.cuEventDestroy(event);
      }
      runtime.unpin(pinned);
      runtime.release(pointer, this.#slab);
    }
    this.#slabs.splice(0, this.#slabs.length, ...kept);
    this.#isFull = false;
  }

  #take(pieces: readonly Piece[], pointer: number): void {
    const { driver, stream } = this.#runtime;
    for (const { slab, from, to, bytes } of pieces) {
      this.#record(slab);
      if (!slab.isAwaited) driver.cuStreamWaitEvent(stream, slab.copied, 0);
      slab.isAwaited = true;
      driver.cuMemcpyDtoDAsync(pointer + to, slab.pointer + from, bytes, stream);
    }
    for (const { slab } of pieces) if (!slab.isOpen) driver.cuEventRecord(slab.taken, stream);
  }

  #copies(): bigint {
    return this.#stream ??= this.#runtime.newStream();
  }

  #record(slab: Slab): void {
    if (!slab.isRecorded) this.#runtime.driver.cuEventRecord(slab.copied, this.#copies());
    slab.isRecorded = true;
  }

  /** A slab with room; undefined when all are full of this very upload, and the device has no room for more. */
  #room(staged: Staged): Slab | undefined {
    const last = this.#slabs.at(-1);
    if (last?.isOpen) {
      if (last.used < this.#slab) return last;
      this.#close(last);
    }
    const [oldest] = this.#slabs;
    const mayGrow = this.#slabs.length < this.#allowed && !this.#isFull;
    if (mayGrow && (oldest === undefined || !this.#isIdle(oldest))) {
      const made = this.#make();
      if (made !== undefined) return made;
    }
    if (oldest === undefined || oldest.waiting.has(staged)) return undefined;
    this.#slabs.push(this.#slabs.shift()!);
    this.#open(oldest);
    return oldest;
  }

  #close(slab: Slab): void {
    slab.isOpen = false;
    this.#record(slab);
    this.#runtime.driver.cuEventRecord(slab.taken, this.#runtime.stream);
  }

  /** Whether a closed slab can be used again without anybody waiting. */
  #isIdle({ waiting, copied, taken }: Slab): boolean {
    const { driver } = this.#runtime;
    return waiting.size === 0 && driver.cuEventQuery(copied) === 0 &&
      driver.cuEventQuery(taken) === 0;
  }

  #open(slab: Slab): void {
    const { driver } = this.#runtime;
    for (const { buffer } of slab.waiting) buffer.settle();
    // What lies in pinned memory may be overwritten, and then the device's counterpart, in the order of the copy stream.
    driver.cuEventSynchronize(slab.copied);
    driver.cuStreamWaitEvent(this.#copies(), slab.taken, 0);
    slab.used = 0;
    slab.isOpen = slab.isRecorded = slab.isAwaited = true;
  }

  #make(): Slab | undefined {
    const runtime = this.#runtime, pointer = runtime.request(this.#slab, false);
    if (pointer === undefined) {
      // The device is full; uploads can do without.
      this.#isFull = true;
      return undefined;
    }
    const slab: Slab = {
      pinned: runtime.pinned(this.#slab),
      pointer,
      copied: runtime.newEvent(),
      taken: runtime.newEvent(),
      used: 0,
      isOpen: true,
      isRecorded: true,
      isAwaited: true,
      waiting: new Set(),
    };
    this.#slabs.push(slab);
    return slab;
  }
}
