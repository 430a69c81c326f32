/** The one linear memory of the wasm backend and the caching allocator in its address space. */
import type { BackendStats, Buffer } from "../../device.ts";
import { type DType, dtypes, type HostArray } from "../../dtype.ts";

const PAGE = 65536;
/** Bytes at the bottom that no buffer gets: the null address and the words for index errors. */
const LOW = 1024;
const ALIGN = 64;
/** Cached blocks are merged once they hold more than this and more than half of what is alive. */
const CACHE_LIMIT = 64 << 20;

/** A buffer in the linear memory. */
export interface WasmBuffer extends Buffer {
  /** Address of the first element, in bytes; a multiple of 64. */
  readonly ptr: number;
}

class Block implements WasmBuffer {
  freed = false;
  constructor(
    readonly dtype: DType,
    readonly length: number,
    readonly ptr: number,
    readonly size: number,
  ) {}
}

/**
 * The size that is set aside for `bytes`: a multiple of 64 with eight steps to a doubling, so that tensors of nearly equal sizes
 * reuse each other's blocks. At most an eighth (and 63 bytes) is wasted.
 */
export function bucketSize(bytes: number): number {
  if (bytes <= 8 * ALIGN) return Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN);
  const step = Math.max(ALIGN, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}

/**
 * Makes a shared memory of 4 GiB, or the largest power of two below it that the system grants. Size and maximum are equal:
 * untouched pages cost nothing, no view ever goes stale, and no worker can run against an old size.
 */
function reserveMemory(maxBytes: number): WebAssembly.Memory {
  for (let pages = Math.min(65536, Math.ceil(maxBytes / PAGE));; pages = pages >> 1) {
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    } catch (error) {
      if (pages <= 256) throw error;
    }
  }
}

const mib = (bytes: number): string =>
  bytes >= 1 << 20 ? `${(bytes / (1 << 20)).toFixed(1)} MiB` : `${bytes} bytes`;

/** A shared `WebAssembly.Memory` with an allocator of 64-byte aligned blocks that keeps freed blocks for reuse. */
export class WasmMemory {
  /** What kernels import. */
  readonly memory: WebAssembly.Memory;
  /** Words of the whole memory. */
  readonly i32: Int32Array;
  /** Bytes of the whole memory. */
  readonly u8: Uint8Array;
  readonly #views: Readonly<Record<DType, HostArray>>;
  readonly #end: number;
  #top = LOW;
  #cached = 0;
  /** Free blocks by exact size. */
  readonly #bins = new Map<number, number[]>();
  /** Merged free ranges, `[begin, end]`, by address. */
  #ranges: [number, number][] = [];

  /**
   * Reserves the address space; pages are committed as they are used.
   * @param stats Counters to keep; only `bytesAlive` and `bytesPeak` are written
   * @param maxBytes Upper bound of the address space, for tests
   */
  constructor(
    readonly stats: Pick<BackendStats, "bytesAlive" | "bytesPeak">,
    maxBytes: number = 2 ** 32,
  ) {
    this.memory = reserveMemory(maxBytes);
    const bytes = this.memory.buffer as ArrayBufferLike;
    // The last page stays free so that an address just past a block is still a 32-bit number.
    this.#end = bytes.byteLength - PAGE;
    this.i32 = new Int32Array(bytes);
    this.u8 = new Uint8Array(bytes);
    this.#views = Object.fromEntries(
      Object.entries(dtypes).map(([d, f]) => [d, f.array(bytes.byteLength / f.bytes, bytes)]),
    ) as Record<DType, HostArray>;
  }

  /** Bytes taken from the address space so far, free blocks included. */
  get bytesHeld(): number {
    return this.#top;
  }

  /** The whole memory as elements of `dtype`; divide an address by the size of an element to index it. */
  view(dtype: DType): HostArray {
    return this.#views[dtype];
  }

  /**
   * A buffer of `length` elements, not cleared.
   * @throws {RangeError} When no room is left, or the length is not a whole number
   */
  alloc(dtype: DType, length: number): WasmBuffer {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`Cannot allocate ${length} elements: not a whole number`);
    }
    const bytes = length * dtypes[dtype].bytes;
    const size = bucketSize(bytes);
    const block = new Block(
      dtype,
      length,
      this.#take(size, `${length} elements of ${dtype}`),
      size,
    );
    const stats = this.stats;
    stats.bytesAlive += bytes;
    if (stats.bytesAlive > stats.bytesPeak) stats.bytesPeak = stats.bytesAlive;
    return block;
  }

  /**
   * Gives a buffer back for reuse.
   * @throws {RangeError} When it was freed before
   * @throws {TypeError} When it is no buffer of this backend
   */
  free(buffer: Buffer): void {
    const block = this.#own(buffer);
    block.freed = true;
    this.stats.bytesAlive -= block.length * dtypes[block.dtype].bytes;
    this.#cached += block.size;
    const bin = this.#bins.get(block.size);
    if (bin === undefined) this.#bins.set(block.size, [block.ptr]);
    else bin.push(block.ptr);
  }

  /**
   * The address of a live buffer.
   * @throws {RangeError} When it was freed
   */
  address(buffer: Buffer): number {
    return this.#own(buffer).ptr;
  }

  /** A block for the backend's own use, never freed and not counted as alive. Returns its address. */
  reserve(bytes: number): number {
    return this.#take(bucketSize(bytes), `${bytes} bytes of work space`);
  }

  #own(buffer: Buffer): Block {
    if (!(buffer instanceof Block)) throw new TypeError("Cannot use a buffer of another backend");
    if (buffer.freed) {
      throw new RangeError(
        `Cannot use a buffer of ${buffer.length} ${buffer.dtype} elements: it was freed`,
      );
    }
    return buffer;
  }

  #take(size: number, what: string): number {
    const bin = this.#bins.get(size);
    if (bin !== undefined && bin.length > 0) {
      this.#cached -= size;
      return bin.pop()!;
    }
    let found = this.#fromRanges(size);
    const idle = this.#cached > CACHE_LIMIT && this.#cached * 2 > this.stats.bytesAlive;
    if (found === undefined && (idle || this.#top + size > this.#end)) {
      this.#merge();
      found = this.#fromRanges(size);
    }
    if (found !== undefined) return found;
    if (this.#top + size > this.#end) {
      throw new RangeError(
        `Cannot allocate ${what} (${mib(size)}): ${mib(this.stats.bytesAlive)} of ` +
          `${mib(this.#end)} are alive and no free range is large enough`,
      );
    }
    const ptr = this.#top;
    this.#top += size;
    return ptr;
  }

  /** First fit; what is left of the range stays one. */
  #fromRanges(size: number): number | undefined {
    const at = this.#ranges.findIndex(([begin, end]) => end - begin >= size);
    if (at < 0) return undefined;
    const range = this.#ranges[at];
    const ptr = range[0];
    range[0] += size;
    if (range[0] === range[1]) this.#ranges.splice(at, 1);
    this.#cached -= size;
    return ptr;
  }

  /** Turns all free blocks into ranges, joins neighbours, and lowers the top when the last range reaches it. */
  #merge(): void {
    const pieces = this.#ranges;
    for (const [size, bin] of this.#bins) for (const ptr of bin) pieces.push([ptr, ptr + size]);
    this.#bins.clear();
    pieces.sort((a, b) => a[0] - b[0]);
    const merged: [number, number][] = [];
    for (const piece of pieces) {
      const last = merged.at(-1);
      if (last !== undefined && last[1] === piece[0]) last[1] = piece[1];
      else merged.push(piece);
    }
    const last = merged.at(-1);
    if (last !== undefined && last[1] === this.#top) {
      this.#top = last[0];
      this.#cached -= last[1] - last[0];
      merged.pop();
    }
    this.#ranges = merged;
  }
}
