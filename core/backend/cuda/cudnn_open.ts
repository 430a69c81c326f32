/** cuDNN of a device, opened on first use. */
import { openCudnn } from "@pta/ffi";
import { CudnnGraphs } from "./cudnn_graph.ts";
import type { CudaRuntime } from "./runtime.ts";

const opened = new WeakMap<CudaRuntime, CudnnGraphs>();

/**
 * The graphs of a device; all work goes to its computing stream.
 * @throws {Error} When cuDNN cannot be opened; lists each place that was tried
 * @throws {CudnnError} When it does not take the device
 */
export function cudnnOf(runtime: CudaRuntime): CudnnGraphs {
  const known = opened.get(runtime);
  if (known !== undefined) return known;
  const { calls } = openCudnn(), at = new BigUint64Array(1);
  runtime.activate();
  calls.cudnnCreate(at);
  calls.cudnnSetStream(at[0], runtime.stream);
  const { name, capability } = runtime.facts;
  const graphs = new CudnnGraphs(calls, { handle: at[0] }, `${name} ${capability.join(".")}`);
  opened.set(runtime, graphs);
  return graphs;
}
