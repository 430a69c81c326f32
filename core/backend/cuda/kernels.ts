/** Printed kernels on a device: chosen by extent, compiled at the first launch, launched with bound buffers. */
import type { Executable, Launch } from "../../device.ts";
import type { Kernel } from "../../kernel.ts";
import type { BackendStats } from "../../device.ts";
import type { LaunchFacts } from "./arrange.ts";
import type { CudaBuffer } from "./memory.ts";
import { type Printed, printKernel } from "./print.ts";
import { scheduleFor, scheduleKey } from "./print_schedule.ts";
import type { Program } from "./programs.ts";
import type { CudaRuntime } from "./runtime.ts";

/** A kernel and the texts that it has been printed as. */
export interface CudaExecutable extends Executable {
  /** By schedule. */
  readonly printed: Map<string, { readonly printed: Printed; readonly program: Program }>;
  /** By extent of the first dimension. */
  readonly launches: Map<number, Prepared>;
}

/** A pass with its numbers of blocks and threads. */
export interface BoundPass {
  /** Name of the function. */
  readonly name: string;
  /** Blocks in two dimensions. */
  readonly grid: readonly [number, number];
  /** Threads of a block. */
  readonly block: number;
}

/** Everything of a launch but its buffers. */
export interface Prepared {
  readonly printed: Printed;
  readonly program: Program;
  readonly passes: readonly BoundPass[];
  readonly scratchBytes: number;
  readonly chunks: number;
}

/** A launch of a printed kernel as data. */
export interface BoundKernel extends Pick<Prepared, "printed" | "passes"> {
  /** Its arguments, eight bytes each. */
  readonly values: readonly number[];
}

/** A kernel, printed for an extent, so that the kernels of a plan wait to be compiled together. */
export function executable(kernel: Kernel, extent: number, runtime: CudaRuntime): CudaExecutable {
  const exe = { kernel, printed: new Map(), launches: new Map() };
  prepare(exe, extent, runtime);
  return exe;
}

/** Stands for the scratch memory among the addresses of {@linkcode LaunchFacts}. */
export const SCRATCH = -1;

/** Extents whose launches are remembered for one kernel. */
const REMEMBERED = 64;

function prepare(exe: CudaExecutable, extent: number, runtime: CudaRuntime): Prepared {
  const known = exe.launches.get(extent);
  if (known !== undefined) return known;
  const { processors } = runtime.facts, { kernel } = exe;
  const schedule = scheduleFor(kernel, extent, processors), key = scheduleKey(schedule);
  let entry = exe.printed.get(key);
  if (entry === undefined) {
    const printed = printKernel(kernel, schedule);
    entry = { printed, program: runtime.programs.program(printed.text, true) };
    exe.printed.set(key, entry);
  }
  const { printed } = entry;
  const prepared: Prepared = {
    ...entry,
    passes: printed.passes.map((p) => ({
      name: p.name,
      grid: p.gridSize(extent, processors),
      block: p.blockSize,
    })),
    scratchBytes: printed.scratchBytes(extent, processors),
    chunks: printed.chunks(extent, processors),
  };
  if (exe.launches.size >= REMEMBERED) exe.launches.clear();
  exe.launches.set(extent, prepared);
  return prepared;
}

/** Binds a kernel to its extent and buffers. */
export function bindKernel(
  exe: CudaExecutable,
  extent: number,
  buffers: readonly CudaBuffer[],
  { runtime, stats }: { readonly runtime: CudaRuntime; readonly stats: BackendStats },
): { readonly launch: Launch; readonly facts: LaunchFacts } {
  const { kernel } = exe;
  if (buffers.length !== kernel.buffers.length) {
    throw new TypeError(
      `Cannot run ${kernel.name}: want ${kernel.buffers.length} buffers, got ${buffers.length}`,
    );
  }
  const { printed, program, passes, scratchBytes, chunks } = prepare(exe, extent, runtime);
  const values = printed.arguments.map((a) =>
    a.kind === "extent"
      ? extent
      : a.kind === "buffer"
      ? buffers[a.buffer].pointer
      : a.kind === "error"
      ? runtime.indexError
      : a.kind === "scratch"
      ? runtime.workspace(scratchBytes)
      : chunks
  );
  const going = passes.filter((p) => p.grid[0] * p.grid[1] > 0);
  const { driver, stream, parameters } = runtime, { address } = parameters;
  const functions: bigint[] = [];
  const launch = () => {
    stats.kernels++;
    for (let i = 0; i < values.length; i++) parameters.pointer(i, values[i]);
    for (let i = 0; i < going.length; i++) {
      const { name, grid, block } = going[i];
      const fn = functions[i] ??= program.function(name);
      driver.cuLaunchKernel(fn, grid[0], grid[1], 1, block, 1, 1, 0, stream, address, 0n);
    }
  };
  const pointers = (access: (a: string) => boolean) =>
    buffers.filter((_, i) => access(kernel.buffers[i].access)).map((b) => b.pointer);
  const facts = {
    reads: pointers((a) => a === "read"),
    writes: pointers((a) => a !== "read"),
    kernel: { printed, passes: going, values },
  };
  // Scratch memory is shared, and rightly so only in order.
  if (scratchBytes > 0) facts.writes.push(SCRATCH);
  return { launch, facts };
}
