/** Device memory: a caching allocator in stream order, so that allocation costs no call of the driver. */
import type { BackendStats, Buffer, Operand } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { env } from "../../env.ts";
import { take } from "../stats.ts";
import { type CudaRuntime, mebibytes } from "./runtime.ts";
import type { Staged } from "./staging.ts";

/** Device memory of one value. */
export class CudaBuffer implements Buffer {
  /** Block that it lies in; undefined once freed. */
  block: Block | undefined;
  readonly #pointer: number;
  #staged: Staged | undefined;
  #isNew = true;
  /** Wraps a block. */
  constructor(readonly dtype: DType, readonly length: number, block: Block) {
    this.block = block;
    this.#pointer = block.pointer;
  }
  /** Device address, a multiple of 512. Whoever asks may launch something with it, so an upload that is under way is put there first. */
  get pointer(): number {
    this.#isNew = false;
    if (this.#staged !== undefined) this.settle();
    return this.#pointer;
  }
  /** Whether nobody has asked for the address yet. */
  get isNew(): boolean {
    return this.#isNew;
  }
  /** The upload that is under way. */
  get staged(): Staged | undefined {
    return this.#staged;
  }
  /** Takes note of an upload that is all of the contents; it replaces an earlier one. */
  stage(staged: Staged): void {
    this.#staged?.drop();
    this.#staged = staged;
  }
  /** Has an upload that is under way put in its place. */
  settle(): void {
    this.#staged?.take(this.#pointer);
    this.unstage();
  }
  /** Forgets an upload that nobody asks for any more. */
  unstage(): void {
    this.#staged?.drop();
    this.#staged = undefined;
  }
  /** Bytes asked for. */
  get bytes(): number {
    return this.length * dtypes[this.dtype].bytes;
  }
}

/** Device address of the first element of an operand. */
export const addressOf = ({ dtype, offset }: Operand, buffer: Buffer): number =>
  (buffer as CudaBuffer).pointer + offset * dtypes[dtype].bytes;

/** A piece of a segment. Neighbours are linked so that free ones can join. */
export interface Block {
  /** Where it lies. */
  readonly segment: Segment;
  /** Device address. */
  pointer: number;
  /** Size. */
  bytes: number;
  /** Whether nobody has it. */
  free: boolean;
  /** The piece before it in the segment. */
  before: Block | undefined;
  /** The piece after it. */
  after: Block | undefined;
}

/** What the driver gave in one piece. */
export interface Segment {
  /** Device address. */
  readonly pointer: number;
  /** Size. */
  readonly bytes: number;
  /** Whether small blocks share it. */
  readonly small: boolean;
}

/** Sizes are rounded up to this, which also aligns every vector access. */
const ROUND = 512;
/** Blocks up to this come from segments of `SMALL_SEGMENT`. */
const SMALL = 1 << 20;
const SMALL_SEGMENT = 2 << 20;
/** Larger ones up to half of this share segments of this size; those beyond get one of their own, rounded to 2 MiB. */
const LARGE_SEGMENT = 20 << 20;
/** What is left of a large block is kept whole when smaller than this. */
const LARGE_REST = 1 << 20;

const roundTo = (n: number, step: number) => Math.ceil(n / step) * step;

/**
 * Memory of one device. A freed block is reused at once: all work runs in order on one stream, so what was launched before the free has read it before anything
 * launched later writes it. `PTA_CUDA_CACHE=0` hands every buffer back to the driver instead, which finds accesses outside of buffers.
 */
export class CudaMemory {
  readonly #runtime: CudaRuntime;
  readonly #stats: BackendStats;
  /** Free blocks by pool (small, large), in order of size. */
  readonly #free: readonly [Block[], Block[]] = [[], []];
  readonly #caches: boolean = env("PTA_CUDA_CACHE") !== "0";
  readonly #live = new Set<CudaBuffer>();

  /**
   * Holds nothing yet.
   * @param runtime The device
   * @param stats Counters to keep
   */
  constructor(runtime: CudaRuntime, stats: BackendStats) {
    this.#runtime = runtime;
    this.#stats = stats;
    runtime.onShort(() => this.trim());
  }

  /**
   * Memory for `length` elements, not cleared.
   * @throws {RangeError} When the device has no room; says what was asked and what is held
   */
  alloc(dtype: DType, length: number): CudaBuffer {
    const asked = length * dtypes[dtype].bytes, bytes = roundTo(Math.max(1, asked), ROUND);
    const block = this.#caches ? this.#take(bytes) : this.#segment(Math.max(1, asked));
    block.free = false;
    take(this.#stats, asked);
    const buffer = new CudaBuffer(dtype, length, block);
    this.#live.add(buffer);
    return buffer;
  }

  /**
   * Gives memory back for reuse by later launches.
   * @throws {ReferenceError} When it has been freed before
   */
  free(buffer: CudaBuffer): void {
    const { block } = buffer;
    if (block === undefined) throw new ReferenceError("Cannot free a buffer twice");
    buffer.block = undefined;
    buffer.unstage();
    this.#live.delete(buffer);
    take(this.#stats, -buffer.bytes);
    if (!this.#caches) return this.#release(block);
    block.free = true;
    this.#insert(this.#join(block));
  }

  /** Hands all cached memory that nobody uses back to the driver. */
  trim(): void {
    this.#runtime.wait();
    for (const pool of this.#free) {
      const kept = pool.filter((b) => b.before !== undefined || b.after !== undefined);
      for (const b of pool) if (b.before === undefined && b.after === undefined) this.#release(b);
      pool.splice(0, pool.length, ...kept);
    }
  }

  #take(bytes: number): Block {
    const small = bytes <= SMALL, pool = this.#free[small ? 0 : 1];
    // Best fit: the pool is in order of size.
    let low = 0, high = pool.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pool[middle].bytes < bytes) low = middle + 1;
      else high = middle;
    }
    const block = low < pool.length ? pool.splice(low, 1)[0] : this.#segment(
      small ? SMALL_SEGMENT : bytes <= LARGE_SEGMENT / 2 ? LARGE_SEGMENT : roundTo(bytes, 2 << 20),
    );
    const rest = block.bytes - bytes;
    if (rest >= (small ? ROUND : LARGE_REST)) {
      const after: Block = {
        segment: block.segment,
        pointer: block.pointer + bytes,
        bytes: rest,
        free: true,
        before: block,
        after: block.after,
      };
      if (block.after !== undefined) block.after.before = after;
      block.after = after;
      block.bytes = bytes;
      this.#insert(after);
    }
    return block;
  }

  #insert(block: Block): void {
    const pool = this.#free[block.segment.small ? 0 : 1];
    let low = 0, high = pool.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pool[middle].bytes < block.bytes) low = middle + 1;
      else high = middle;
    }
    pool.splice(low, 0, block);
  }

  #remove(block: Block): void {
    const pool = this.#free[block.segment.small ? 0 : 1];
    pool.splice(pool.indexOf(block), 1);
  }

  /** Joins a free block with its free neighbours. */
  #join(block: Block): Block {
    const { before, after } = block;
    if (after?.free) {
      this.#remove(after);
      block.bytes += after.bytes;
      block.after = after.after;
      if (after.after !== undefined) after.after.before = block;
    }
    if (!before?.free) return block;
    this.#remove(before);
    before.bytes += block.bytes;
    before.after = block.after;
    if (block.after !== undefined) block.after.before = before;
    return before;
  }

  #segment(bytes: number): Block {
    const pointer = this.#runtime.request(bytes);
    if (pointer === undefined) throw this.#outOfMemory(bytes);
    const segment: Segment = { pointer, bytes, small: bytes <= SMALL_SEGMENT && this.#caches };
    return { segment, pointer, bytes, free: false, before: undefined, after: undefined };
  }

  #release(block: Block): void {
    this.#runtime.release(block.pointer, block.bytes);
  }

  #outOfMemory(bytes: number): RangeError {
    const largest = [...this.#live].sort((a, b) => b.bytes - a.bytes).slice(0, 3)
      .map((b) => `${b.dtype}[${b.length}] of ${mebibytes(b.bytes)}`);
    return new RangeError(
      `${this.#runtime.shortage(bytes)}, of which ${
        mebibytes(this.#stats.bytesAlive)
      } in ${this.#live.size} buffers${
        largest.length === 0 ? "" : `, the largest ${largest.join(", ")}`
      }. A smaller batch, gradient accumulation or activation checkpointing needs less`,
    );
  }
}
