/** The CUDA backend: kernels printed for NVRTC, products by cuBLASLt, captured steps as graphs. Opened on first use; importing it needs nothing. */
import { createRoutines, multipliesFloat8, wantsEpilogue } from "./routines.ts";
import type {
  AttentionParams,
  Backend,
  BackendStats,
  Buffer,
  Executable,
  Launch,
  Operand,
  RoutineCall,
  RoutineLaunch,
  RoutineName,
  Routines,
} from "../../device.ts";
import { type DType, dtypes, type HostArray } from "../../dtype.ts";
import { env } from "../../env.ts";
import type { Kernel } from "../../kernel.ts";
import { newStats } from "../stats.ts";
import type { LaunchFacts } from "./arrange.ts";
import { makeGraphs } from "./graphs.ts";
import { bindKernel, type CudaExecutable, executable, SCRATCH } from "./kernels.ts";
import { cudnnNorms } from "./cudnn_norm.ts";
import { type CudaBuffer, CudaMemory } from "./memory.ts";
import { cudaAttends } from "./routine_attention.ts";
import { halfRoutines, wantsChannelsLast } from "./routine_table.ts";
import { CudaRuntime } from "./runtime.ts";
import { Staging } from "./staging.ts";
import { Transfer } from "./transfer.ts";

export { CudaRuntime } from "./runtime.ts";
export type { DeviceFacts } from "./device_facts.ts";
export type { Geometry, KernelArgument } from "./runtime.ts";

/**
 * One NVIDIA GPU. Work is launched and not waited for: an index out of range comes to light at the next wait (a read, `synchronize`), as it does in every
 * library for these devices. `PTA_CUDA_SYNC=1` waits after every plan, which names the guilty one.
 */
export class CudaBackend implements Backend {
  /** Name of the device, such as `cuda:0`. */
  readonly name: string;
  /** Counters. */
  readonly stats: BackendStats = newStats();
  /** Context, stream and compiler. */
  readonly runtime: CudaRuntime;
  /** Allocator. */
  readonly memory: CudaMemory;
  /** Routines; see `Routines` in `core/device.ts`. */
  readonly routines: Routines;
  /** See {@linkcode Backend.halfRoutines}. */
  readonly halfRoutines: ReadonlySet<RoutineName> = halfRoutines;
  /** See {@linkcode Backend.wantsEpilogue}; there when `PTA_CUBLAS_EPILOGUE=1` asks for it. */
  readonly wantsEpilogue: ((call: RoutineCall<"matmulEpilogue">) => boolean) | undefined =
    env("PTA_CUBLAS_EPILOGUE") === "1" ? (call) => wantsEpilogue(this.runtime, call) : undefined;
  readonly #transfer: Transfer;
  readonly #staging: Staging | undefined;
  /** What is known of launches: those that need the host, and what the others do with memory. */
  readonly #facts: WeakMap<Launch, LaunchFacts | "host"> = new WeakMap();
  readonly #waits: boolean = env("PTA_CUDA_SYNC") === "1";

  /**
   * Opens a device.
   *
   * @param ordinal Place among the devices that the process sees; that of the local rank when absent
   * @throws {Error} When a library is missing; lists each place that was tried
   * @throws {RangeError} When there is no such device
   */
  constructor(ordinal?: number) {
    this.runtime = new CudaRuntime(ordinal);
    this.name = `cuda:${this.runtime.facts.ordinal}`;
    this.memory = new CudaMemory(this.runtime, this.stats);
    this.#transfer = new Transfer(this.runtime, this.stats);
    if (env("PTA_CUDA_COPY_STREAM") !== "0") {
      this.#staging = new Staging(this.runtime, { isExact: env("PTA_CUDA_CACHE") === "0" });
    }
    this.routines = this.#counted(createRoutines({
      runtime: this.runtime,
      transfer: this.#transfer,
      host: (launch) => {
        this.#facts.set(launch, "host");
        return launch;
      },
    }));
  }

  /** See {@linkcode Backend.alloc}. */
  alloc(dtype: DType, length: number): Buffer {
    return this.memory.alloc(dtype, length);
  }

  /** See {@linkcode Backend.free}. */
  free(buffer: Buffer): void {
    this.memory.free(buffer as CudaBuffer);
  }

  /**
   * See {@linkcode Backend.write}. Returns before the data has arrived; the array may change at once.
   * @throws {TypeError} When the array is not of the buffer's dtype
   * @throws {RangeError} When it does not fit
   */
  write(buffer: Buffer, data: HostArray, offset = 0): void {
    const { array, bytes } = dtypes[buffer.dtype], wanted = array(0).constructor;
    if (data.constructor !== wanted) {
      throw new TypeError(`Cannot write ${data.constructor.name} to a ${buffer.dtype} buffer`);
    }
    checkSpan(buffer, offset, data.length);
    const from = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const target = buffer as CudaBuffer;
    if (target.block !== undefined && this.#staging?.upload(target, from)) return;
    this.#transfer.upload(pointerOf(buffer) + offset * bytes, from);
  }

  /** Copies all of `from` over the front of `to`, in stream order. */
  copy(from: Buffer, to: Buffer): void {
    const { driver, stream } = this.runtime, bytes = from.length * dtypes[from.dtype].bytes;
    const { staged } = from as CudaBuffer;
    if (staged !== undefined) staged.take(pointerOf(to));
    else if (bytes > 0) driver.cuMemcpyDtoDAsync(pointerOf(to), pointerOf(from), bytes, stream);
  }

  /**
   * See {@linkcode Backend.read}.
   * @throws {RangeError} When the span leaves the buffer, or a kernel met an index out of range
   */
  read(buffer: Buffer, offset: number, length: number): HostArray {
    checkSpan(buffer, offset, length);
    const { array, bytes } = dtypes[buffer.dtype], out = array(length);
    const into = new Uint8Array(out.buffer as ArrayBuffer, 0, length * bytes);
    this.#transfer.download(pointerOf(buffer) + offset * bytes, into);
    this.runtime.checkIndices();
    return out;
  }

  /** See {@linkcode Backend.lacks}: bfloat16 came with Ampere, float16 with Volta's tensor cores. */
  lacks(dtype: DType): string | undefined {
    const { name, capability: [major, minor] } = this.runtime.facts;
    const needed: { readonly [D in DType]?: number } = { bfloat16: 8, float16: 7 };
    return major >= (needed[dtype] ?? 0)
      ? undefined
      : `${name} (compute capability ${major}.${minor}) has no fast ${dtype} arithmetic`;
  }

  /** See {@linkcode Backend.attends}: where cuDNN has engines for it. */
  attends(operands: readonly Operand[], params: AttentionParams, gradient: boolean): boolean {
    return cudaAttends(this.runtime, operands, params, gradient);
  }

  /** See {@linkcode Backend.multipliesFloat8}: tensor cores from compute capability 8.9 on, by cuBLASLt; `PTA_FLOAT8=off` says no. */
  get multipliesFloat8(): boolean {
    return multipliesFloat8(this.runtime);
  }

  /** See {@linkcode Backend.normalizes}: by cuDNN where `PTA_CUDNN_NORM=on`. */
  normalizes(x: Operand): boolean {
    return cudnnNorms(this.runtime)?.has(x) ?? false;
  }

  /** See {@linkcode Backend.channelsLast}; `PTA_CUDNN_LAYOUT` decides. */
  channelsLast(call: RoutineCall): boolean {
    return wantsChannelsLast(this.runtime, call);
  }

  /** See {@linkcode Backend.compile}; all texts that wait are compiled at the first launch of one of them. */
  compile(kernel: Kernel, extent: number): Executable {
    this.stats.compiled++;
    return executable(kernel, extent, this.runtime);
  }

  /** See {@linkcode Backend.bind}. */
  bind(exe: Executable, extent: number, buffers: readonly Buffer[]): Launch {
    const bound = bindKernel(exe as CudaExecutable, extent, buffers as CudaBuffer[], this);
    this.#facts.set(bound.launch, bound.facts);
    return bound.launch;
  }

  /** See {@linkcode Backend.graph}. */
  graph(launches: readonly Launch[]): { launches: Launch[]; dispose: () => void } {
    return makeGraphs(this.runtime, launches, (launch) => this.#facts.get(launch), this.stats);
  }

  /** See {@linkcode Backend.check}. */
  check(): void {
    if (this.#waits) this.runtime.wait();
    this.runtime.checkIndices();
  }

  /**
   * See {@linkcode Backend.synchronize}.
   * @throws {RangeError} When a kernel met an index out of range since the last call
   */
  synchronize(): void {
    this.runtime.wait();
    this.runtime.checkIndices();
  }

  #counted(routines: Routines): Routines {
    const { stats } = this, facts = this.#facts;
    const counted = (
      { start, wait }: RoutineLaunch,
      buffers: readonly CudaBuffer[],
      results: number,
    ): RoutineLaunch => {
      const run = () => {
        stats.routines++;
        start();
      };
      const known = facts.get(start);
      const pointers = buffers.map((b) => b.pointer), first = pointers.length - results;
      // What runs beside the stream keeps its place. All others may use the scratch memory.
      if (known !== undefined) facts.set(run, known);
      else if (wait === undefined) {
        facts.set(run, {
          reads: pointers.slice(0, first),
          writes: [...pointers.slice(first), SCRATCH],
        });
      }
      return { start: run, wait };
    };
    return Object.fromEntries(
      Object.entries(routines).map(([name, routine]) => [
        name,
        (call: RoutineCall, buffers: readonly CudaBuffer[]) => {
          const bound = (routine as (c: unknown, b: unknown) => RoutineLaunch)(call, buffers);
          return counted(bound, buffers, call.results ?? 1);
        },
      ]),
    ) as Routines;
  }
}

const pointerOf = (buffer: Buffer): number => {
  const { block, pointer } = buffer as CudaBuffer;
  if (block === undefined) throw new ReferenceError("Cannot use a buffer that has been freed");
  return pointer;
};

function checkSpan(buffer: Buffer, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= buffer.length) return;
  throw new RangeError(
    `Cannot access elements ${offset} to ${offset + length} of a buffer of ${buffer.length}`,
  );
}
