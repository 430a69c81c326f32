/** The embedded CPU backend: WebAssembly SIMD made at run time, in one shared memory, on a few threads. */
import type {
  Backend,
  BackendStats,
  Buffer,
  Executable,
  Launch,
  RoutineLaunch,
  Routines,
} from "../../device.ts";
import { type DType, dtypes, type HostArray } from "../../dtype.ts";
import type { Kernel } from "../../kernel.ts";
import { newStats } from "../stats.ts";
import { bindCall } from "./launch.ts";
import { lowerKernel, mathImports } from "./lower.ts";
import { WasmMemory } from "./memory.ts";
import { makeJob, Pool, threadCount, type WasmCode, type WasmFunction } from "./pool.ts";
import { makeRoutines, type RoutineOptions } from "./routines.ts";

/** Where a kernel reports an index out of range, in words: a flag, the index, the size of the dimension. */
const INDEX_ERROR = 4;
/** Begins of chunks are multiples of this, so that no chunk starts inside a vector. */
const GRAIN = 16;
/** Values computed, below which a kernel stays on one thread: about 20 microseconds of work. */
const PARALLEL_WORK = 1 << 17;

interface WasmExecutable extends Executable {
  readonly code: WasmCode;
  readonly run: WasmFunction;
  readonly scratchBytes: number;
  readonly parallel: boolean;
}

/** Options of {@linkcode WasmBackend}; each defaults to its environment variable. */
export interface WasmOptions extends RoutineOptions {
  /** Threads in all; `PTA_THREADS`, else the processors of the machine, at most 8. */
  readonly threads?: number;
}

/** Kernels and routines in one WebAssembly memory. Needs no permission; a system BLAS is used where FFI is granted. */
export class WasmBackend implements Backend {
  /** Name of the device. */
  readonly name = "wasm";
  /** Counters; `kernels` and `routines` count runs. */
  readonly stats: BackendStats = newStats();
  /** The memory that all buffers lie in. */
  readonly memory: WasmMemory;
  /** Threads that large kernels run on. */
  readonly pool: Pool;
  /** Routines; see `Routines` in `core/device.ts`. */
  readonly routines: Routines;

  /**
   * Opens the backend; threads start with the first work that is worth them.
   * @param options What to use instead of the environment variables
   */
  constructor(options: WasmOptions = {}) {
    this.memory = new WasmMemory(this.stats);
    this.pool = new Pool(this.memory, options.threads ?? threadCount(), Object.keys(mathImports));
    this.routines = countRuns(makeRoutines(this.memory, this.pool, options), this.stats);
  }

  /** See {@linkcode Backend.alloc}. */
  alloc(dtype: DType, length: number): Buffer {
    return this.memory.alloc(dtype, length);
  }

  /** See {@linkcode Backend.free}. */
  free(buffer: Buffer): void {
    this.memory.free(buffer);
  }

  /**
   * See {@linkcode Backend.write}.
   * @throws {TypeError} When the array is not of the buffer's dtype
   * @throws {RangeError} When it does not fit
   */
  write(buffer: Buffer, data: HostArray, offset = 0): void {
    const view = this.memory.view(buffer.dtype);
    if (data.constructor !== view.constructor) {
      throw new TypeError(`Cannot write ${data.constructor.name} to a ${buffer.dtype} buffer`);
    }
    checkSpan(buffer, offset, data.length);
    const at = this.memory.address(buffer) / dtypes[buffer.dtype].bytes + offset;
    (view as Float32Array).set(data as Float32Array, at);
  }

  /** Copies all of `from` over the front of `to`. */
  copy(from: Buffer, to: Buffer): void {
    const bytes = from.length * dtypes[from.dtype].bytes, start = this.memory.address(from);
    this.memory.u8.copyWithin(this.memory.address(to), start, start + bytes);
  }

  /**
   * See {@linkcode Backend.read}.
   * @throws {RangeError} When the span leaves the buffer, or a kernel met an index out of range
   */
  read(buffer: Buffer, offset: number, length: number): HostArray {
    this.stats.reads++;
    this.synchronize();
    checkSpan(buffer, offset, length);
    const at = this.memory.address(buffer) / dtypes[buffer.dtype].bytes + offset;
    return this.memory.view(buffer.dtype).slice(at, at + length);
  }

  /** See {@linkcode Backend.compile}. */
  compile(kernel: Kernel): Executable {
    const { bytes, scratchBytes, parallel } = lowerKernel(kernel);
    const imports = { e: { m: this.memory.memory, ...mathImports } };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
    this.stats.compiled++;
    const run = instance.exports.run as WasmFunction;
    const executable: WasmExecutable = { kernel, code: { bytes }, run, scratchBytes, parallel };
    return executable;
  }

  /** See {@linkcode Backend.bind}. */
  bind(executable: Executable, extent: number, buffers: readonly Buffer[]): Launch {
    const { kernel, run, code, scratchBytes, parallel } = executable as WasmExecutable;
    const { stats } = this;
    if (buffers.length !== kernel.buffers.length) {
      throw new TypeError(
        `Cannot run ${kernel.name}: want ${kernel.buffers.length} buffers, got ${buffers.length}`,
      );
    }
    const pointers = buffers.map((b) => this.memory.address(b));
    const { base, stride } = this.pool.scratch(scratchBytes);
    const spans = parallel ? splitRange(kernel, extent, this.pool.threads) : [[0, extent]];
    if (spans.length > 1) {
      const args = spans.map(([begin, end]) => [begin, end, base, ...pointers]);
      const job = makeJob({ fn: run, module: code, exportIndex: 0 }, args, {
        slot: 2,
        base,
        stride,
      });
      return () => {
        stats.kernels++;
        this.pool.run(job);
      };
    }
    const call = bindCall(run, [0, extent, base, ...pointers]);
    return () => {
      stats.kernels++;
      call();
    };
  }

  /**
   * See {@linkcode Backend.synchronize}.
   * @throws {RangeError} When a kernel met an index out of range since the last call
   */
  synchronize(): void {
    const words = this.memory.i32;
    if (words[INDEX_ERROR] === 0) return;
    words[INDEX_ERROR] = 0;
    const [index, size] = words.subarray(INDEX_ERROR + 1, INDEX_ERROR + 3);
    throw new RangeError(`Cannot index with ${index}: the dimension has size ${size}`);
  }
}

function checkSpan(buffer: Buffer, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= buffer.length) return;
  throw new RangeError(
    `Cannot access elements ${offset} to ${offset + length} of a buffer of ${buffer.length}`,
  );
}

/** Spans of `outer[0]` for the threads, one when splitting does not pay. */
function splitRange(kernel: Kernel, extent: number, threads: number): number[][] {
  const inner = [...kernel.outer.slice(1), ...kernel.reduce].reduce((x, y) => x * y, 1);
  const work = extent * inner * kernel.values.length;
  const chunks = work < PARALLEL_WORK ? 1 : Math.min(threads * 4, Math.ceil(extent / GRAIN));
  if (threads < 2 || chunks < 2) return [[0, extent]];
  const step = Math.ceil(extent / chunks / GRAIN) * GRAIN;
  const spans: number[][] = [];
  for (let i = 0; i < extent; i += step) spans.push([i, Math.min(extent, i + step)]);
  return spans;
}

function countRuns(routines: Routines, stats: BackendStats): Routines {
  const counted = ({ start, wait }: RoutineLaunch): RoutineLaunch => ({
    start: () => {
      stats.routines++;
      start();
    },
    wait,
  });
  const wrap =
    (routine: (call: never, buffers: never) => RoutineLaunch) =>
    (call: unknown, buffers: unknown) => counted(routine(call as never, buffers as never));
  return Object.fromEntries(
    Object.entries(routines).map(([name, routine]) => [name, wrap(routine)]),
  ) as Routines;
}
