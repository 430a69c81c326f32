/**
 * Convolutions and their gradients by cuDNN: float32 strictly or with factors rounded to TF32, float64, float16 and bfloat16 with float32 sums. Operands are row-major; engines
 * that want channels last bring them into that order in their scratch memory, and cuDNN's heuristics choose those where that pays.
 */
import { cudnnConvolutionMode_t, cudnnDataType_t as dataTypes } from "@pta/ffi";
import type { ConvolutionParams, Launch, Operand, RoutineCall } from "../../device.ts";
import { type DType, dtypes } from "../../dtype.ts";
import { contiguousStrides } from "../../shape.ts";
import { float32MatmulPrecision } from "../../matmul_precision.ts";
import type { AttributeName, Descriptor, DescriptorKind } from "./cudnn_descriptors.ts";
import { type CudnnGraphs, cudnnTypes } from "./cudnn_graph.ts";
import type { CudaBuffer } from "./memory.ts";
import type { CudaRuntime } from "./runtime.ts";

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
    const { name, operands } = call, params = call.params as ConvolutionParams;
    const [{ dtype }] = operands, row = rows[name];
    const plain = operands.every((o) => o.dtype === dtype && o.shape.every((n) => n > 0));
    if (cudnnTypes[dtype] === undefined || !plain) return undefined;
    const pointers = operands.map((o, i) => buffers[i].pointer + o.offset * dtypes[dtype].bytes);
    const shapeOf = (id: number): Operand => operands[row.operands.indexOf(id)];
    const graph = twoSpatial({
      name,
      params,
      dtype,
      shapes: [shapeOf(INPUT).shape, shapeOf(WEIGHT).shape, shapeOf(OUTPUT).shape],
      alignment: pointers.every((p) => p % 16 === 0) ? 16 : dtypes[dtype].bytes,
    });
    if (!isExact(graph)) return undefined;
    const cudnn = this.#cudnn;
    const plan = cudnn.plan(convolutionKey(graph), () => convolutionOperations(cudnn, graph), {
      tensorCores: dtype !== "float32" || float32MatmulPrecision() !== "highest",
      workspace: WORKSPACE,
    });
    if (plan === undefined) return undefined;
    const workspace = plan.workspace === 0 ? 0 : this.#runtime.workspace(plan.workspace);
    const addresses = BigUint64Array.from(pointers, BigInt), ids = row.operands;
    return () => cudnn.execute(plan, ids, addresses, workspace);
  }
}
