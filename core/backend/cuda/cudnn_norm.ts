/**
 * Batch normalisation in training and its gradients by cuDNN. Kernels of our own do the same in as many passes over memory, and fuse what follows; so this is there to be compared
 * and is used where `PTA_CUDNN_NORM=on` asks for it. cuDNN's engines want channels last: row-major operands are turned in scratch memory.
 */
import {
  cudnnBackendNormFwdPhase_t as phases,
  cudnnBackendNormMode_t as modes,
  cudnnDataType_t as dataTypes,
} from "@pta/ffi";
import type { BatchNormParams, Launch, Operand, RoutineCall } from "../../device.ts";
import type { DType } from "../../dtype.ts";
import { env } from "../../env.ts";
import { channelsLastStrides, channelsSecond } from "../../channel_order.ts";
import { contiguousStrides } from "../../shape.ts";
import type { AttributeName, Descriptor } from "./cudnn_descriptors.ts";
import { type CudnnGraphs, type CudnnPlan, cudnnTypes } from "./cudnn_graph.ts";
import { bindPlan, cudnnOf } from "./cudnn_open.ts";
import { addressOf, type CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";
import { oncePerDevice } from "./vendor.ts";

/** The two routines. */
export type NormName = "batchNorm" | "batchNormGradient";

/** What decides the plan of a normalisation. */
export interface NormGraph {
  /** Which of the two. */
  readonly name: NormName;
  /** Dtype of what has places; values of channels are float32. */
  readonly dtype: DType;
  /** `[N, C, H, W]`. */
  readonly shape: readonly number[];
  /** How that lies in memory. */
  readonly channelsLast: boolean;
}

/** Attributes of the operands in the order of the routine; those with places, not of channels, are marked. */
const tensors: Readonly<Record<NormName, readonly (readonly [AttributeName, "places"?])[]>> = {
  batchNorm: [
    ["OPERATION_NORM_FWD_XDESC", "places"],
    ["OPERATION_NORM_FWD_SCALE_DESC"],
    ["OPERATION_NORM_FWD_BIAS_DESC"],
    ["OPERATION_NORM_FWD_YDESC", "places"],
    ["OPERATION_NORM_FWD_MEAN_DESC"],
    ["OPERATION_NORM_FWD_INV_VARIANCE_DESC"],
  ],
  batchNormGradient: [
    ["OPERATION_NORM_BWD_XDESC", "places"],
    ["OPERATION_NORM_BWD_DYDESC", "places"],
    ["OPERATION_NORM_BWD_SCALE_DESC"],
    ["OPERATION_NORM_BWD_MEAN_DESC"],
    ["OPERATION_NORM_BWD_INV_VARIANCE_DESC"],
    ["OPERATION_NORM_BWD_DXDESC", "places"],
    ["OPERATION_NORM_BWD_DSCALE_DESC"],
    ["OPERATION_NORM_BWD_DBIAS_DESC"],
  ],
};
/** Number of the tensor that holds what is added to the variance; operands are numbered from 1. */
const EPS = 9;
/** Bytes of scratch memory that a normalisation may use. */
const WORKSPACE = 1 << 30;

/** The operations of a normalisation's graph: one. */
export function normOperations(cudnn: CudnnGraphs, graph: NormGraph): Descriptor[] {
  const { name, shape, dtype, channelsLast } = graph, { CUDNN_DATA_FLOAT: float } = dataTypes;
  const tensor = (id: number, type: number, sizes: readonly number[]) => {
    const strides = channelsLast ? channelsLastStrides(sizes) : contiguousStrides(sizes);
    return cudnn.tensor({ type, shape: sizes, strides, id });
  };
  const operation = name === "batchNorm"
    ? cudnn.describe("OPERATION_NORM_FORWARD")
      .choice("OPERATION_NORM_FWD_MODE", "NORM_MODE", modes.CUDNN_BATCH_NORM)
      .choice("OPERATION_NORM_FWD_PHASE", "NORM_FWD_PHASE", phases.CUDNN_NORM_FWD_TRAINING)
      .descriptors(
        "OPERATION_NORM_FWD_EPSILON_DESC",
        // deno-fmt-ignore
        cudnn.tensor({ type: float, shape: [1, 1, 1, 1], strides: [1, 1, 1, 1], id: EPS, byValue: true }),
      )
    : cudnn.describe("OPERATION_NORM_BACKWARD")
      .choice("OPERATION_NORM_BWD_MODE", "NORM_MODE", modes.CUDNN_BATCH_NORM);
  tensors[name].forEach(([attribute, places], i) => {
    const type = places === undefined ? float : cudnnTypes[dtype]!;
    const sizes = places === undefined ? [1, shape[1], 1, 1] : shape;
    operation.descriptors(attribute, tensor(i + 1, type, sizes));
  });
  return [operation.finalize()];
}

/** Text that tells a normalisation's plan from others. */
export const normKey = (graph: NormGraph): string => `norm ${JSON.stringify(graph)}`;

/** `[N, C, H, W]` of any number of spatial dimensions. */
function fourOf(shape: readonly number[]): number[] {
  const [n, c, ...spatial] = shape, last = spatial.pop() ?? 1;
  return [n, c, spatial.reduce((a, b) => a * b, 1), last];
}

/** Normalisations of one device. */
export class CudnnNorms {
  readonly #runtime: CudaRuntime;
  readonly #cudnn: CudnnGraphs;

  /** @param runtime The device; @param cudnn Graphs for it */
  constructor(runtime: CudaRuntime, cudnn: CudnnGraphs) {
    this.#runtime = runtime;
    this.#cudnn = cudnn;
  }

  /** Whether both directions have engines in both orders: which one it will be is not known yet. */
  has({ dtype, shape }: Operand): boolean {
    if (cudnnTypes[dtype] === undefined || dtype === "float64") return false;
    return (["batchNorm", "batchNormGradient"] as const).every((name) =>
      [true, false].every((channelsLast) =>
        this.#plan({ name, dtype, shape: fourOf(shape), channelsLast }) !== undefined
      )
    );
  }

  /**
   * Binds a normalisation.
   * @throws {Error} When there is no engine for it
   */
  bind(call: RoutineCall<NormName>, buffers: readonly CudaBuffer[]): Launch {
    const { name, operands } = call, { eps, channelsLast = false }: BatchNormParams = call.params;
    const [{ dtype, shape }] = operands;
    const logical = fourOf(channelsLast ? channelsSecond(shape) : shape);
    const plan = this.#plan({ name, dtype, shape: logical, channelsLast });
    if (plan === undefined) {
      throw new Error(`Cannot run ${name} of [${shape}]: cuDNN has no engine`);
    }
    return bindPlan(this.#runtime, plan, {
      tensors: operands.map((o, i) => [i + 1, addressOf(o, buffers[i])]),
      numbers: name === "batchNorm" ? [[EPS, eps]] : [],
    });
  }

  #plan(graph: NormGraph): CudnnPlan | undefined {
    const cudnn = this.#cudnn, choice = { tensorCores: true, workspace: WORKSPACE };
    return cudnn.plan(normKey(graph), () => normOperations(cudnn, graph), choice);
  }
}

const normsOf = oncePerDevice(
  "PTA_CUDNN",
  (runtime) => new CudnnNorms(runtime, cudnnOf(runtime)),
);

/** The normalisations of a device; undefined without cuDNN, and where `PTA_CUDNN_NORM` is not `on`. */
export function cudnnNorms(runtime: CudaRuntime): CudnnNorms | undefined {
  return env("PTA_CUDNN_NORM") === "on" ? normsOf(runtime) : undefined;
}
