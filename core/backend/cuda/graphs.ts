/** Captured steps as CUDA graphs: one call launches what was recorded. */
import { CUgraphInstantiate_flags as flags, CUstreamCaptureMode } from "@pta/ffi";
import { log } from "../../debug.ts";
import type { Launch } from "../../device.ts";
import type { CudaRuntime } from "./runtime.ts";

/** Launches up to which a graph gains nothing. */
const LEAST = 2;

/** A graph made of launches, and the way to give it back. */
export interface Graph {
  /** Launches all of it. */
  readonly launch: Launch;
  /** Gives it back to the driver. */
  readonly dispose: () => void;
}

/**
 * Makes graphs of the runs of launches between those that need the host.
 *
 * @param runtime The device
 * @param launches What to replay, in order; each has run once
 * @param isHost Whether a launch needs the host (reads results, talks to other processes)
 * @returns What does the same with fewer calls
 */
export function makeGraphs(
  runtime: CudaRuntime,
  launches: readonly Launch[],
  isHost: (launch: Launch) => boolean,
): { launches: Launch[]; dispose: () => void } {
  const made: Launch[] = [], disposers: (() => void)[] = [];
  let run: Launch[] = [];
  const close = () => {
    const graph = run.length > LEAST ? makeGraph(runtime, run) : undefined;
    if (graph === undefined) made.push(...run);
    else {
      made.push(graph.launch);
      disposers.push(graph.dispose);
    }
    run = [];
  };
  for (const launch of launches) {
    if (isHost(launch)) {
      close();
      made.push(launch);
    } else run.push(launch);
  }
  close();
  return { launches: made, dispose: () => disposers.forEach((d) => d()) };
}

/** A graph of launches; undefined when one of them cannot be captured, which is logged. */
function makeGraph(runtime: CudaRuntime, launches: readonly Launch[]): Graph | undefined {
  const { driver, stream } = runtime, at = new BigUint64Array(1);
  runtime.activate();
  // Of this thread only: others may allocate meanwhile.
  driver.cuStreamBeginCapture(stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  let failure: unknown;
  try {
    for (const launch of launches) launch();
  } catch (error) {
    failure = error;
  }
  try {
    // Also after a failure: the stream must leave the mode.
    driver.cuStreamEndCapture(stream, at);
  } catch (error) {
    failure ??= error;
  }
  if (failure !== undefined) {
    log(1, `a captured step is replayed call by call: ${(failure as Error).message}`);
    return undefined;
  }
  const graph = at[0];
  driver.cuGraphInstantiateWithFlags(
    at,
    graph,
    flags.CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH,
  );
  const exec = at[0];
  driver.cuGraphDestroy(graph);
  driver.cuGraphUpload(exec, stream);
  return {
    launch: () => driver.cuGraphLaunch(exec, stream),
    dispose: () => driver.cuGraphExecDestroy(exec),
  };
}
