/**
 * Convolutions and their gradients by cuDNN: float32 strictly or with factors rounded to TF32, float64, float16 and bfloat16 with float32 sums. Operands have channels last where
 * {@linkcode CudnnConvolutions.wantsLast} asks for it, which spares the engines of tensor cores to turn them in scratch memory; all others are row-major, and cuDNN's heuristics
 * choose engines that turn them where that pays.
 */
import { cudnnConvolutionMode_t, cudnnDataType_t as dataTypes } from "@pta/ffi";
import type { ConvolutionParams, Launch, RoutineCall } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { env } from "../../env.ts";
import { channelsLastStrides, channelsSecond } from "../../channel_order.ts";
import { contiguousStrides } from "../../shape.ts";
import { float32MatmulPrecision } from "../../matmul_precision.ts";
import type { AttributeName, Descriptor, DescriptorKind } from "./cudnn_descriptors.ts";
import { type CudnnGraphs, type CudnnPlan, cudnnTypes } from "./cudnn_graph.ts";
import { bindPlan, cudnnOf } from "./cudnn_open.ts";
import { addressOf, type CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";
import { oncePerDevice } from "./vendor.ts";

/** The three routines. */
export type ConvolutionName = "convolution" | "convolutionInput" | "convolutionWeight";

/** Numbers of the tensors. */
const INPUT = 1, WEIGHT = 2, OUTPUT = 3;
/** Bytes of scratch memory that a convolution may use. */
const WORKSPACE = 1 << 30;

/** How a routine is said in cuDNN. */
interface Row {
  readonly kind: DescriptorKind;
  readonly description: AttributeName;
  readonly alpha: AttributeName;
  readonly beta: AttributeName;
  /** Attributes of input, weight and output grid. */
  readonly tensors: readonly [AttributeName, AttributeName, AttributeName];
  /** Which tensor each operand is. */
  readonly operands: readonly [number, number, number];
}

const rows: Readonly<Record<ConvolutionName, Row>> = {
  convolution: {
    kind: "OPERATION_CONVOLUTION_FORWARD",
    description: "OPERATION_CONVOLUTION_FORWARD_CONV_DESC",
    alpha: "OPERATION_CONVOLUTION_FORWARD_ALPHA",
    beta: "OPERATION_CONVOLUTION_FORWARD_BETA",
    tensors: [
      "OPERATION_CONVOLUTION_FORWARD_X",
      "OPERATION_CONVOLUTION_FORWARD_W",
      "OPERATION_CONVOLUTION_FORWARD_Y",
    ],
    operands: [INPUT, WEIGHT, OUTPUT],
  },
  convolutionInput: {
    kind: "OPERATION_CONVOLUTION_BACKWARD_DATA",
    description: "OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC",
    alpha: "OPERATION_CONVOLUTION_BWD_DATA_ALPHA",
    beta: "OPERATION_CONVOLUTION_BWD_DATA_BETA",
    tensors: [
      "OPERATION_CONVOLUTION_BWD_DATA_DX",
      "OPERATION_CONVOLUTION_BWD_DATA_W",
      "OPERATION_CONVOLUTION_BWD_DATA_DY",
    ],
    operands: [OUTPUT, WEIGHT, INPUT],
  },
  convolutionWeight: {
    kind: "OPERATION_CONVOLUTION_BACKWARD_FILTER",
    description: "OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC",
    alpha: "OPERATION_CONVOLUTION_BWD_FILTER_ALPHA",
    beta: "OPERATION_CONVOLUTION_BWD_FILTER_BETA",
    tensors: [
      "OPERATION_CONVOLUTION_BWD_FILTER_X",
      "OPERATION_CONVOLUTION_BWD_FILTER_DW",
      "OPERATION_CONVOLUTION_BWD_FILTER_DY",
    ],
    operands: [INPUT, OUTPUT, WEIGHT],
  },
};

/** What decides the plan of a convolution. */
export interface ConvolutionGraph {
  /** Which of the three. */
  readonly name: ConvolutionName;
  /** Geometry, of two or three spatial dimensions. */
  readonly params: ConvolutionParams;
  /** Dtype of all operands. */
  readonly dtype: DType;
  /** Shapes of input, weight and output grid. */
  readonly shapes: readonly [readonly number[], readonly number[], readonly number[]];
  /** Their strides; row-major when absent. */
  readonly strides?: readonly (readonly number[])[];
  /** Bytes that all addresses are a multiple of. */
  readonly alignment: number;
}

/** The operations of a convolution's graph: one. */
export function convolutionOperations(cudnn: CudnnGraphs, graph: ConvolutionGraph): Descriptor[] {
  const { params, dtype, shapes, alignment } = graph, row = rows[graph.name];
  const double = dtype === "float64", spatial = params.stride.length;
  const computed = double ? dataTypes.CUDNN_DATA_DOUBLE : dataTypes.CUDNN_DATA_FLOAT;
  const description = cudnn.describe("CONVOLUTION")
    .choice("CONVOLUTION_COMP_TYPE", "DATA_TYPE", computed)
    .choice(
      "CONVOLUTION_CONV_MODE",
      "CONVOLUTION_MODE",
      cudnnConvolutionMode_t.CUDNN_CROSS_CORRELATION,
    )
    .int64("CONVOLUTION_SPATIAL_DIMS", [spatial])
    .int64("CONVOLUTION_PRE_PADDINGS", params.padding)
    .int64("CONVOLUTION_POST_PADDINGS", params.padding)
    .int64("CONVOLUTION_FILTER_STRIDES", params.stride)
    .int64("CONVOLUTION_DILATIONS", params.dilation)
    .finalize();
  const operation = cudnn.describe(row.kind).descriptors(row.description, description);
  if (double) operation.double(row.alpha, 1).double(row.beta, 0);
  else operation.float(row.alpha, 1).float(row.beta, 0);
  row.tensors.forEach((attribute, i) => {
    const shape = shapes[i], strides = graph.strides?.[i] ?? contiguousStrides(shape);
    const type = cudnnTypes[dtype]!, id = i + 1;
    operation.descriptors(attribute, cudnn.tensor({ type, shape, strides, id, alignment }));
  });
  return [operation.finalize()];
}

/** Text that tells a convolution's plan from others. */
export const convolutionKey = (graph: ConvolutionGraph): string =>
  `convolution ${JSON.stringify(graph)}`;

/** cuDNN wants two spatial dimensions at least. */
function twoSpatial(graph: ConvolutionGraph): ConvolutionGraph {
  const { params, shapes } = graph;
  if (params.stride.length !== 1) return graph;
  const widen = (shape: readonly number[]) => [shape[0], shape[1], 1, shape[2]];
  return {
    ...graph,
    params: {
      ...params,
      stride: [1, ...params.stride],
      padding: [0, ...params.padding],
      dilation: [1, ...params.dilation],
    },
    shapes: [widen(shapes[0]), widen(shapes[1]), widen(shapes[2])],
  };
}

/** Whether the shapes are those of one convolution: cuDNN takes no other. */
function isExact({ params, shapes: [x, w, y] }: ConvolutionGraph): boolean {
  const { stride, padding, dilation, groups } = params;
  return x[1] === w[1] * groups && stride.every((s, d) => {
    const reach = x[d + 2] + 2 * padding[d] - dilation[d] * (w[d + 2] - 1) - 1;
    return reach >= 0 && y[d + 2] === Math.floor(reach / s) + 1;
  });
}

/** The graph of a call, with channels last if it has them so or shall have; undefined for one that cuDNN does not make. */
function graphOf(
  { name, operands, params }: RoutineCall<ConvolutionName>,
  alignment: number,
  last = params.channelsLast,
): ConvolutionGraph | undefined {
  const [{ dtype }] = operands, row = rows[name], { channelsLast, ...geometry } = params;
  const plain = operands.every((o) => o.dtype === dtype && o.shape.every((n) => n > 0));
  if (cudnnTypes[dtype] === undefined || !plain) return undefined;
  const [x, w, y] = [INPUT, WEIGHT, OUTPUT].map((id) => {
    const { shape } = operands[row.operands.indexOf(id)];
    return channelsLast ? channelsSecond(shape) : shape;
  });
  const graph = { name, params: geometry, dtype, shapes: [x, w, y] as const, alignment };
  if (!isExact(graph)) return undefined;
  return last ? { ...graph, strides: [x, w, y].map(channelsLastStrides) } : twoSpatial(graph);
}

const layout = env("PTA_CUDNN_LAYOUT") ?? "auto";

/** Convolutions of one device. */
export class CudnnConvolutions {
  readonly #runtime: CudaRuntime;
  readonly #cudnn: CudnnGraphs;

  /** @param runtime The device; @param cudnn Graphs for it */
  constructor(runtime: CudaRuntime, cudnn: CudnnGraphs) {
    this.#runtime = runtime;
    this.#cudnn = cudnn;
  }

  /** Binds a convolution; undefined for one that cuDNN does not make (whole numbers, nothing to compute, no engine). */
  bind(call: RoutineCall<ConvolutionName>, buffers: readonly CudaBuffer[]): Launch | undefined {
    const { name, operands } = call, [{ dtype }] = operands, row = rows[name];
    const pointers = operands.map((o, i) => addressOf(o, buffers[i]));
    const alignment = pointers.every((p) => p % 16 === 0) ? 16 : dtypes[dtype].bytes;
    const plan = this.#plan(graphOf(call, alignment));
    if (plan === undefined) {
      if (!call.params.channelsLast) return undefined;
      throw new Error(
        `Cannot run a ${name} with channels last: cuDNN has an engine for it no more`,
      );
    }
    const tensors = pointers.map((p, i) => [row.operands[i], p] as const);
    return bindPlan(this.#runtime, plan, { tensors });
  }

  /**
   * Whether a convolution had better have channels last: in half precision, whose tensor cores take eight channels at a time (or the few of an image, which are filled up), and
   * where cuDNN has an engine for it. `PTA_CUDNN_LAYOUT` is `nchw` for never, `nhwc` for wherever there is an engine.
   * @throws {RangeError} When it is something else
   */
  wantsLast(call: RoutineCall<ConvolutionName>): boolean {
    if (!["auto", "nchw", "nhwc"].includes(layout)) {
      throw new RangeError(`Cannot use PTA_CUDNN_LAYOUT=${layout}: it must be auto, nchw or nhwc`);
    }
    if (layout === "nchw" || call.params.stride.length < 2) return false;
    const graph = graphOf(call, 16, true);
    const [outputs, share] = graph?.shapes[1] ?? [0, 0], { groups } = call.params;
    const pays = dtypes[call.operands[0].dtype].bytes === 2 && outputs % 8 === 0 &&
      (share % 8 === 0 || (groups === 1 && share <= 4));
    return (pays || layout === "nhwc") && this.#plan(graph) !== undefined;
  }

  #plan(graph: ConvolutionGraph | undefined): CudnnPlan | undefined {
    if (graph === undefined) return undefined;
    const cudnn = this.#cudnn;
    return cudnn.plan(convolutionKey(graph), () => convolutionOperations(cudnn, graph), {
      tensorCores: graph.dtype !== "float32" || float32MatmulPrecision() !== "highest",
      workspace: WORKSPACE,
    });
  }
}

/** The convolutions of a device; undefined without cuDNN. `PTA_CUDNN=off` leaves it out. */
export const cudnnConvolutions: (runtime: CudaRuntime) => CudnnConvolutions | undefined =
  oncePerDevice("PTA_CUDNN", (runtime) => new CudnnConvolutions(runtime, cudnnOf(runtime)));
