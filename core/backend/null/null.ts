/** The null device: plans, counts and prints, computes nothing. Most tests of fusion and memory need no more. */
import type { Backend, BackendStats, Buffer, Executable, Launch, Routines } from "../../device.ts";
import { type DType, dtypes, type HostArray } from "../../dtype.ts";
import type { Kernel } from "../../kernel.ts";
import { plainTable } from "../plain/mod.ts";
import { newStats, take } from "../stats.ts";

/** A backend without memory: what it reads back is zeros. */
export class NullBackend implements Backend {
  readonly name = "null";
  /** What was counted so far. */
  readonly stats: BackendStats = newStats();
  /** Names of the kernels and routines run, in order, until somebody clears the list. */
  readonly trace: string[] = [];

  alloc(dtype: DType, length: number): Buffer {
    take(this.stats, dtypes[dtype].bytes * length);
    return { dtype, length };
  }
  free(buffer: Buffer): void {
    take(this.stats, -dtypes[buffer.dtype].bytes * buffer.length);
  }
  write(): void {}
  copy(): void {}
  read(buffer: Buffer, _offset: number, length: number): HostArray {
    this.stats.reads++;
    return dtypes[buffer.dtype].array(length);
  }
  compile(kernel: Kernel): Executable {
    this.stats.compiled++;
    return { kernel };
  }
  bind(executable: Executable): Launch {
    return () => {
      this.stats.kernels++;
      this.trace.push(executable.kernel.name);
    };
  }
  /** Routines that only count. */
  readonly routines: Routines = {
    ...plainTable((name) => () => ({ start: () => this.#routine(name) })),
    matmul: () => ({ start: () => this.#routine("matmul") }),
    allReduce: () => ({ start: () => this.#routine("allReduce"), wait: () => {} }),
  };
  #routine(name: string): void {
    this.stats.routines++;
    this.trace.push(name);
  }
  synchronize(): void {}
}
