/** Instantiated graphs that nobody launches any more, kept because setting new nodes in one takes a tenth of the time that making one takes. */
import { CUgraphExecUpdateResult, CUgraphInstantiate_flags as flags } from "@pta/ffi";
import type { CudaRuntime } from "./runtime.ts";

/** Graphs that are kept, of all sizes. */
const KEPT = 8;
/** Bytes of a `CUgraphExecUpdateResultInfo`; the result is its first int. */
const INFO_BYTES = 24;

interface Idle {
  /** Launches that it was made of. */
  readonly size: number;
  readonly exec: bigint;
}

const pools = new WeakMap<CudaRuntime, GraphPool>();

/** The pool of a device. */
export function graphPool(runtime: CudaRuntime): GraphPool {
  let pool = pools.get(runtime);
  if (pool === undefined) pools.set(runtime, pool = new GraphPool(runtime));
  return pool;
}

/**
 * Makes graphs launchable. A step that is recorded again, as by the next `train()`, for another model of the same kind or after a module was frozen and set
 * free, mostly differs from an earlier one in addresses and numbers only; then the earlier graph is updated instead of making another.
 */
export class GraphPool {
  readonly #runtime: CudaRuntime;
  /** The one that has been idle for longest comes first. */
  readonly #idle: Idle[] = [];
  /** Graphs made, and graphs used again, so far. */
  readonly counts: { made: number; updated: number } = { made: 0, updated: 0 };

  /**
   * Holds nothing yet.
   * @param runtime The device
   */
  constructor(runtime: CudaRuntime) {
    this.#runtime = runtime;
  }

  /**
   * A graph, ready to launch.
   *
   * @param graph What was recorded
   * @param size Launches that it was made of; undefined for one that must not come from another
   */
  take(graph: bigint, size: number | undefined): bigint {
    const { driver } = this.#runtime, info = new Int32Array(INFO_BYTES / 4);
    for (let i = this.#idle.length - 1; i >= 0; i--) {
      if (this.#idle[i].size !== size) continue;
      // Refused, with an error as the result, where the graphs have other nodes or other edges.
      driver.cuGraphExecUpdate(this.#idle[i].exec, graph, info);
      if (info[0] !== CUgraphExecUpdateResult.CU_GRAPH_EXEC_UPDATE_SUCCESS) continue;
      this.counts.updated++;
      return this.#idle.splice(i, 1)[0].exec;
    }
    const at = new BigUint64Array(1);
    const flag = flags.CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    driver.cuGraphInstantiateWithFlags(at, graph, flag);
    this.counts.made++;
    return at[0];
  }

  /** Takes a graph back, with the size that it was taken with; it may still be running. */
  give(exec: bigint, size: number | undefined): void {
    const { driver } = this.#runtime;
    if (size === undefined) return driver.cuGraphExecDestroy(exec);
    this.#idle.push({ exec, size });
    if (this.#idle.length > KEPT) driver.cuGraphExecDestroy(this.#idle.shift()!.exec);
  }
}
