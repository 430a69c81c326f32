/** One CUDA device as this process uses it: its context, its streams, and everything that is bound to them. */
import {
  address,
  CUctx_flags,
  CudaError,
  CUresult,
  type DriverCalls,
  ParameterBlock,
} from "@pta/ffi";
import type { Launch } from "../../device.ts";
import {
  cudaDriver,
  defaultOrdinal,
  deviceCount,
  type DeviceFacts,
  deviceFacts,
} from "./device_facts.ts";
import { Programs } from "./programs.ts";

/** An argument of a kernel: eight bytes of device address, or a number of the named type. */
export type KernelArgument =
  | { readonly pointer: number }
  | { readonly i32: number }
  | { readonly i64: number }
  | { readonly f32: number }
  | { readonly f64: number };

/** How many blocks of how many threads, and the bytes of dynamic shared memory of each block. */
export interface Geometry {
  /** Blocks, up to three dimensions. */
  readonly grid: readonly number[];
  /** Threads of a block, up to three dimensions. */
  readonly block: readonly number[];
  /** Bytes of dynamic shared memory; none when absent. */
  readonly shared?: number;
}

/** Flags of pinned host memory. */
const hostFlags = { CU_MEMHOSTALLOC_DEVICEMAP: 2 } as const;

/** What a stream answers that has work left. */
const NOT_READY = 600;
/** Questions to the stream before the host begins to sleep between them. */
const SPINS = 2000;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

const one = new Int32Array(1), long = new BigUint64Array(1);

/** Bytes for people. */
export const mebibytes = (bytes: number): string => `${(bytes / (1 << 20)).toFixed(1)} MiB`;

/**
 * The primary context of a device, the stream that computes, and the programs compiled for it. All work of a backend is in order on `stream`; what
 * runs beside it (collectives) has its own stream and meets it by events.
 */
export class CudaRuntime {
  /** Calls of the driver. */
  readonly driver: DriverCalls;
  /** What the device is. */
  readonly facts: DeviceFacts;
  /** Stream that computes; it does not wait for the legacy stream. */
  readonly stream: bigint;
  /** The primary context. */
  readonly context: bigint;
  /** Programs compiled for this device. */
  readonly programs: Programs;
  readonly #parameters = new ParameterBlock();
  #workspace = { pointer: 0, bytes: 0 };
  readonly #watches: (() => void)[] = [];
  readonly #keepers: (() => void)[] = [];
  #held = 0;
  #index: { readonly pointer: number; readonly words: BigInt64Array<ArrayBuffer> } | undefined;

  /**
   * Opens a device.
   * @param ordinal Place among the devices that the process sees
   * @throws {RangeError} When there is no such device
   */
  constructor(ordinal: number = defaultOrdinal()) {
    const calls = this.driver = cudaDriver(), count = deviceCount();
    if (!(ordinal >= 0 && ordinal < count)) {
      throw new RangeError(
        `Cannot open device cuda:${ordinal}: this process sees ${count} CUDA device${
          count === 1 ? "" : "s"
        }`,
      );
    }
    this.facts = deviceFacts(ordinal);
    calls.cuDeviceGet(one, ordinal);
    const device = one[0];
    // Fails harmlessly where the context exists with other flags; a waiting host then spins instead of sleeping.
    try {
      calls.cuDevicePrimaryCtxSetFlags(device, CUctx_flags.CU_CTX_SCHED_SPIN);
    } catch { /* keeps the flags it has */ }
    calls.cuDevicePrimaryCtxRetain(long, device);
    this.context = long[0];
    calls.cuCtxSetCurrent(this.context);
    this.stream = this.newStream();
    this.programs = new Programs(this);
  }

  /** Makes a stream that does not wait for the legacy stream. */
  newStream(): bigint {
    this.driver.cuStreamCreate(long, 1);
    return long[0];
  }

  /** Makes an event without timing. */
  newEvent(): bigint {
    this.driver.cuEventCreate(long, 2);
    return long[0];
  }

  /** Bytes of device memory that this process has from the driver, in use or not. */
  get held(): number {
    return this.#held;
  }

  /** Has `release` called when the device has no room left: it gives back what it keeps but does not need. */
  onShort(release: () => void): void {
    this.#keepers.push(release);
  }

  /**
   * Device memory of its own.
   * @param bytes How much
   * @param isUrgent Whether others are asked to give back what they do not need before the answer is no
   * @returns Its address; undefined when the device has no room
   */
  request(bytes: number, isUrgent = true): number | undefined {
    this.activate();
    for (let asked = !isUrgent;; asked = true) {
      try {
        this.driver.cuMemAlloc(long, bytes);
        this.#held += bytes;
        return Number(long[0]);
      } catch (error) {
        const full = error instanceof CudaError &&
          error.code === CUresult.CUDA_ERROR_OUT_OF_MEMORY;
        if (!full) throw error;
        if (asked) return undefined;
        for (const release of this.#keepers) release();
      }
    }
  }

  /** Gives back what {@linkcode request} gave; waits for whatever is under way. */
  release(pointer: number, bytes: number): void {
    this.#held -= bytes;
    this.driver.cuMemFree(pointer);
  }

  /** For an error: what was asked, what the device has left, and what this process holds. */
  shortage(bytes: number, what = ""): string {
    const free = new BigUint64Array(1), total = new BigUint64Array(1);
    this.driver.cuMemGetInfo(free, total);
    const { name, ordinal } = this.facts;
    return `Cannot allocate ${mebibytes(bytes)}${what} on cuda:${ordinal} (${name}): ${
      mebibytes(Number(free[0]))
    } of ${mebibytes(Number(total[0]))} are free; this process holds ${mebibytes(this.#held)}`;
  }

  /** Pinned host memory, until {@linkcode unpin} gives it back. */
  pinned(bytes: number): Uint8Array<ArrayBuffer> {
    this.activate();
    this.driver.cuMemHostAlloc(long, bytes, 0);
    const memory = Deno.UnsafePointer.create(long[0])!;
    return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(memory, bytes) as ArrayBuffer);
  }

  /** Gives pinned host memory back; nobody may look at it any more. */
  unpin(memory: Uint8Array<ArrayBuffer>): void {
    this.driver.cuMemFreeHost(address(memory));
  }

  /** Makes this device the current one of the thread; needed before calls that take no stream when a process uses several devices. */
  activate(): void {
    this.driver.cuCtxSetCurrent(this.context);
  }

  /**
   * Scratch memory for the next launch on `stream`: launches follow each other, so all may share it.
   * The address holds for as long as the backend lives, so captured steps may use it.
   *
   * @param bytes How much is needed
   * @returns A device address, a multiple of 256
   * @throws {RangeError} When the device has no room
   */
  workspace(bytes: number): number {
    if (bytes > this.#workspace.bytes) {
      // An earlier, smaller one stays: captured steps may point to it. Doubling bounds the waste.
      const size = Math.max(1 << 20, 2 ** Math.ceil(Math.log2(bytes)));
      const pointer = this.request(size);
      if (pointer === undefined) throw new RangeError(this.shortage(size, " of scratch memory"));
      this.#workspace = { pointer, bytes: size };
    }
    return this.#workspace.pointer;
  }

  /**
   * Binds a hand-written kernel; it is compiled at the first launch.
   *
   * @param text CUDA C of one or more `extern "C" __global__` functions; it follows the prelude of printed kernels. Equal texts are compiled once
   * @param name Name of the function
   * @param geometry Blocks and threads; a grid with a 0 launches nothing
   * @param args Its arguments in order, each of eight bytes or an int or float
   */
  launcher(
    text: string,
    name: string,
    geometry: Geometry,
    args: readonly KernelArgument[],
  ): Launch {
    const [gx = 1, gy = 1, gz = 1] = geometry.grid, [bx = 1, by = 1, bz = 1] = geometry.block;
    const { shared = 0 } = geometry, { stream, driver } = this;
    if (gx * gy * gz === 0) return () => {};
    const block = this.#parameters, address = block.address;
    const program = this.programs.program(text);
    let fn: bigint | undefined;
    return () => {
      fn ??= program.function(name, shared);
      for (let i = 0; i < args.length; i++) setArgument(block, i, args[i]);
      driver.cuLaunchKernel(fn, gx, gy, gz, bx, by, bz, shared, stream, address, 0n);
    };
  }

  /** Parameters of the launch at hand; the driver copies them before the call returns. */
  get parameters(): ParameterBlock {
    return this.#parameters;
  }

  /** Device address of three int64 in host memory, where kernels leave the first index out of range: a flag, the index, the size that it left. */
  get indexError(): number {
    return this.#indexWords().pointer;
  }

  #indexWords(): { readonly pointer: number; readonly words: BigInt64Array<ArrayBuffer> } {
    if (this.#index === undefined) {
      const { CU_MEMHOSTALLOC_DEVICEMAP } = hostFlags;
      this.activate();
      this.driver.cuMemHostAlloc(long, 64, CU_MEMHOSTALLOC_DEVICEMAP);
      const host = long[0], memory = Deno.UnsafePointer.create(host)!;
      const words = new BigInt64Array(
        Deno.UnsafePointerView.getArrayBuffer(memory, 64) as ArrayBuffer,
      );
      words.fill(0n);
      this.driver.cuMemHostGetDevicePointer(long, host, 0);
      this.#index = { pointer: Number(long[0]), words };
    }
    return this.#index;
  }

  /**
   * Raises what kernels have complained of so far, without waiting.
   * @throws {RangeError} When one met an index out of range
   */
  checkIndices(): void {
    const words = this.#index?.words;
    if (words === undefined || words[0] === 0n) return;
    // The kernel writes the flag first; once it has ended, the numbers are there too.
    this.wait();
    const [, index, size] = words;
    words.fill(0n);
    throw new RangeError(`Cannot index with ${index}: the dimension has size ${size}`);
  }

  /** Has `check` called while the host waits: it raises what has gone wrong beside the computing stream. */
  onWait(check: () => void): void {
    this.#watches.push(check);
  }

  /**
   * Waits for everything on the computing stream.
   * @throws {CudaError} When something on the device went wrong since the last wait
   */
  wait(): void {
    const { driver, stream } = this;
    if (this.#watches.length > 0) {
      // A collective that waits for a rank that is gone would hold the stream for ever.
      for (let polls = 0; driver.cuStreamQuery(stream) === NOT_READY; polls++) {
        if (polls < SPINS) continue;
        for (const watch of this.#watches) watch();
        Atomics.wait(sleeper, 0, 0, 0.2);
      }
    }
    driver.cuStreamSynchronize(stream);
  }
}

function setArgument(block: ParameterBlock, i: number, a: KernelArgument): void {
  if ("pointer" in a) block.pointer(i, a.pointer);
  else if ("i32" in a) block.i32(i, a.i32);
  else if ("i64" in a) block.u64(i, BigInt.asUintN(64, BigInt(a.i64)));
  else if ("f32" in a) block.f32(i, a.f32);
  else block.f64(i, a.f64);
}
