/** Captured steps as CUDA graphs: one call launches what was recorded. */
import { CUstreamCaptureMode } from "@pta/ffi";
import { log } from "../../debug.ts";
import type { BackendStats, Launch } from "../../device.ts";
import { graphPool } from "./graph_pool.ts";
import { type LaunchFacts, levels, type Recorded } from "./arrange.ts";
import { groups, joinKernels, joins } from "./join.ts";
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
 * @param facts What is known of a launch: "host" when it needs the host (reads results, talks to other processes)
 * @param stats Counters of what runs
 * @returns What does the same with fewer calls
 */
export function makeGraphs(
  runtime: CudaRuntime,
  launches: readonly Launch[],
  facts: (launch: Launch) => LaunchFacts | "host" | undefined,
  stats: BackendStats,
): { launches: Launch[]; dispose: () => void } {
  const made: Launch[] = [], disposers: (() => void)[] = [];
  let run: Recorded[] = [];
  const close = () => {
    const joined = joinLaunches(runtime, run);
    const counts = [stats.kernels, stats.routines];
    const mayChange = run.every(({ facts }) => facts !== undefined);
    const graph = joined.length > LEAST ? makeGraph(runtime, joined, mayChange) : undefined;
    // Counted when they run, not when they are recorded.
    [stats.kernels, stats.routines] = counts;
    if (graph === undefined) made.push(...joined);
    else {
      const kernels = run.filter((r) => r.facts?.kernel !== undefined).length;
      const routines = run.length - kernels;
      made.push(() => {
        stats.kernels += kernels;
        stats.routines += routines;
        graph.launch();
      });
      disposers.push(graph.dispose);
    }
    run = [];
  };
  for (const launch of launches) {
    const known = facts(launch);
    if (known === "host") {
      close();
      made.push(launch);
    } else run.push({ launch, facts: known });
  }
  close();
  return { launches: made, dispose: () => disposers.forEach((d) => d()) };
}

/** The same work in fewer launches: independent kernels become one. */
function joinLaunches(runtime: CudaRuntime, run: readonly Recorded[]): Launch[] {
  const launches: Launch[] = [], prepares: (() => void)[] = [];
  for (const level of levels(run)) {
    const kernels = level.flatMap(({ facts }) => joins(facts?.kernel) ? [facts.kernel] : []);
    for (const { launch, facts } of level) if (!joins(facts?.kernel)) launches.push(launch);
    for (const group of groups(kernels)) {
      if (group.length === 1) {
        launches.push(level.find(({ facts }) => facts?.kernel === group[0])!.launch);
      } else if (group.length > 1) {
        const { launch, prepare } = joinKernels(runtime, group);
        launches.push(launch);
        prepares.push(prepare);
      }
    }
  }
  // All texts are known now, so they are compiled together, and none while a stream is being captured.
  for (const prepare of prepares) prepare();
  return launches;
}

/**
 * A graph of launches; undefined when one of them cannot be captured, which is logged. It may become another one later, unless collectives are among
 * them: NCCL ties what it keeps to the graph that it was recorded in.
 */
function makeGraph(
  runtime: CudaRuntime,
  launches: readonly Launch[],
  mayChange: boolean,
): Graph | undefined {
  const { driver, stream } = runtime, at = new BigUint64Array(1);
  const size = mayChange ? launches.length : undefined;
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
  const graph = at[0], pool = graphPool(runtime);
  let exec = 0n;
  if (failure === undefined) {
    try {
      exec = pool.take(graph, size);
    } catch (error) {
      failure = error;
    }
  }
  if (graph !== 0n) driver.cuGraphDestroy(graph);
  if (failure !== undefined) {
    log(1, `a captured step is replayed call by call: ${(failure as Error).message}`);
    return undefined;
  }
  driver.cuGraphUpload(exec, stream);
  return {
    launch: () => driver.cuGraphLaunch(exec, stream),
    dispose: () => pool.give(exec, size),
  };
}
