/** Kernels with data and results to hold printed CUDA C against: recorded while the reference runs. */
import { RefBackend } from "../core/backend/ref/ref.ts";
import type { Schedule } from "../core/backend/cuda/print_schedule.ts";
import {
  canSplit,
  product,
  scheduleFor,
  scheduleKey,
} from "../core/backend/cuda/print_schedule.ts";
import type { Buffer, Executable, Launch } from "../core/device.ts";
import type { HostArray } from "../core/dtype.ts";
import type { Kernel } from "../core/kernel.ts";
import { encode } from "./kernel_interpreter.ts";

/** One launch of a kernel: what its buffers held before and after. */
export interface Sample {
  readonly kernel: Kernel;
  readonly extent: number;
  readonly before: readonly HostArray[];
  readonly after: readonly HostArray[];
  /** The index error that it raised. */
  readonly error: string | undefined;
}

/** The reference, keeping the first launch of each kernel at each extent. */
export class Recorder extends RefBackend {
  readonly samples = new Map<string, Sample>();

  override bind(executable: Executable, extent: number, buffers: readonly Buffer[]): Launch {
    const launch = super.bind(executable, extent, buffers), { kernel } = executable;
    const key = `${extent} ${kernel.key}`;
    return () => {
      if (this.samples.has(key)) return launch();
      const all = () => buffers.map((b) => this.read(b, 0, b.length));
      const before = all();
      launch();
      const error = this.#errorOf(() => super.synchronize());
      this.#pending ??= error;
      this.samples.set(key, { kernel, extent, before, after: all(), error: error?.message });
    };
  }

  #pending: Error | undefined;
  #errorOf(run: () => void): Error | undefined {
    try {
      run();
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }

  override synchronize(): void {
    const error = this.#pending;
    this.#pending = undefined;
    if (error !== undefined) throw error;
    super.synchronize();
  }
}

/** Runs a kernel on the reference. */
export function sampleOf(
  kernel: Kernel,
  extent: number,
  data: readonly (readonly number[])[],
): Sample {
  const ref = new RefBackend();
  const before = data.map((d, i) => encode(kernel.buffers[i].dtype, d));
  const buffers = data.map((d, i) => ref.alloc(kernel.buffers[i].dtype, d.length));
  buffers.forEach((b, i) => ref.write(b, before[i]));
  ref.bind(ref.compile(kernel), extent, buffers)();
  let error: string | undefined;
  try {
    ref.synchronize();
  } catch (e) {
    error = (e as Error).message;
  }
  return { kernel, extent, before, after: buffers.map((b) => ref.read(b, 0, b.length)), error };
}

/** Every schedule worth trying on a kernel, whatever its sizes; the one that a launch would get comes first. */
export function schedulesOf(kernel: Kernel, extent: number): Schedule[] {
  const natural = scheduleFor(kernel, extent), all = [natural, { ...natural, wide: true }];
  if (natural.kind === "points") all.push({ ...natural, width: 1 });
  else {
    const split = canSplit(kernel), axis = product(kernel.reduce);
    // Widths that the addresses allow are known for rows only.
    const width = natural.kind === "rows" ? natural.width : 1;
    const rows = { kind: "rows", split: false, wide: false, width } as const;
    const columns = { kind: "columns", split: false, wide: false, width: 1 } as const;
    all.push(
      { ...rows, team: 1, block: 128 },
      { ...rows, team: 4, block: 64 },
      { ...rows, team: 32, block: 64, width: 1 },
      { ...rows, team: 64, block: 64 },
      { ...columns, team: 1, block: 32 },
      { ...columns, team: 4, block: 128 },
    );
    if (split && axis > 0) {
      all.push(
        { ...rows, team: 64, block: 64, split: true },
        { ...columns, team: 2, block: 64, split: true },
      );
    }
  }
  return [...new Map(all.map((s) => [scheduleKey(s), s])).values()];
}
