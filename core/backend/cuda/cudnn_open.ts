/** cuDNN of a device, opened on first use, and its plans bound to memory. */
import { address, openCudnn } from "@pta/ffi";
import type { Launch } from "../../device.ts";
import { CudnnGraphs, type CudnnPlan } from "./cudnn_graph.ts";
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

/** What a plan is bound to, each with the number of the tensor. */
export interface CudnnOperands {
  /** Device addresses. */
  readonly tensors: readonly (readonly [id: number, address: number])[];
  /** Numbers given by value: float32. */
  readonly numbers?: readonly (readonly [id: number, value: number])[];
  /** Bytes of the scratch memory, a multiple of 256, that the caller has put something of its own in. */
  readonly skip?: number;
}

/** Binds a plan for a device to memory; scratch memory is the device's. */
export function bindPlan(
  runtime: CudaRuntime,
  plan: CudnnPlan,
  { tensors, numbers = [], skip = 0 }: CudnnOperands,
): Launch {
  const cudnn = cudnnOf(runtime);
  const workspace = plan.workspace === 0 ? 0 : runtime.workspace(skip + plan.workspace) + skip;
  const values = Float32Array.from(numbers, ([, value]) => value), count = values.length;
  const host = count === 0 ? 0n : address(values);
  const ids = [...tensors, ...numbers].map(([id]) => id);
  const pointers = BigUint64Array.from([
    ...tensors.map(([, p]) => BigInt(p)),
    ...numbers.map((_, i) => host + BigInt(4 * i)),
  ]);
  return () => {
    // The address of the numbers holds for as long as they are referenced.
    if (values.length === count) cudnn.execute(plan, ids, pointers, workspace);
  };
}
