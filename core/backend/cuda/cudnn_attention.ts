/**
 * Scaled dot-product attention by cuDNN, forward and backward, without the matrix of scores in memory (Dao, arXiv:2307.08691): float16 or bfloat16 with float32 sums. Forward is one
 * operation; backward is the graph of small operations that cuDNN knows as attention's.
 */
import {
  cudnnDataType_t as dataTypes,
  cudnnPointwiseMode_t as pointwise,
  cudnnReduceTensorOp_t as reductions,
} from "@pta/ffi";
import { contiguousStrides } from "../../shape.ts";
import type { Descriptor } from "./cudnn_descriptors.ts";
import { type CudnnGraphs, cudnnTypes } from "./cudnn_graph.ts";

/** Numbers of the tensors. */
export const attentionIds = {
  query: 1,
  key: 2,
  value: 3,
  out: 4,
  stats: 5,
  scale: 6,
  lowest: 7,
  outGradient: 8,
  queryGradient: 9,
  keyGradient: 10,
  valueGradient: 11,
  one: 12,
  rowSums: 13,
  queryTotal: 14,
} as const;

/** Tensors in memory whose layout can be chosen. */
export type AttentionTensor =
  | "query"
  | "key"
  | "value"
  | "out"
  | "outGradient"
  | "queryGradient"
  | "keyGradient"
  | "valueGradient";

type Strides = readonly [batch: number, head: number, position: number];

/** What decides the plan of an attention. */
export interface AttentionGraph {
  /** Elements of query, key and value. */
  readonly dtype: "float16" | "bfloat16";
  /** Batch. */
  readonly batch: number;
  /** Heads of the query. */
  readonly heads: number;
  /** Heads of key and value, each for equally many of the query's. */
  readonly keyHeads: number;
  /** Positions of the query. */
  readonly queries: number;
  /** Positions of key and value. */
  readonly keys: number;
  /** Elements of a query and key; a multiple of 8. */
  readonly size: number;
  /** Elements of a value; a multiple of 8. */
  readonly valueSize: number;
  /** Whether position `i` sees only positions up to `i`. */
  readonly causal: boolean;
  /** Distances in elements for what is not `[batch, head, position, element]` row-major; gradients without any lie as what they are of. */
  readonly strides?: { readonly [T in AttentionTensor]?: Strides };
}

/** Text that tells an attention's plan from others. */
export const attentionKey = (
  direction: "forward" | "backward",
  { strides = {}, ...rest }: AttentionGraph,
): string => `attention ${direction} ${JSON.stringify({ ...rest, strides })}`;

const float = dataTypes.CUDNN_DATA_FLOAT;
/** `CUDNN_RESHAPE_VIEW_ONLY`, which the header's tables do not have. */
const VIEW_ONLY = 0;

/** What a tensor has the sizes of. */
const originals: { readonly [T in AttentionTensor]: "query" | "key" | "value" | "out" } = {
  query: "query",
  key: "key",
  value: "value",
  out: "out",
  outGradient: "out",
  queryGradient: "query",
  keyGradient: "key",
  valueGradient: "value",
};

/** Tensors and operations of one graph. */
class Builder {
  readonly operations: Descriptor[] = [];
  #next = 100;

  constructor(readonly cudnn: CudnnGraphs, readonly g: AttentionGraph) {}

  /** A tensor in memory: query, key, value, out, or a gradient of one of them. */
  stored(name: AttentionTensor, turned = false): Descriptor {
    const id = attentionIds[name], like = originals[name];
    const { batch, heads, keyHeads, queries, keys, size, valueSize, dtype } = this.g;
    const own = like === "query" || like === "out";
    const shape = [
      batch,
      own ? heads : keyHeads,
      own ? queries : keys,
      like === "query" || like === "key" ? size : valueSize,
    ];
    const given = this.g.strides?.[name] ?? this.g.strides?.[like],
      strides = given ? [...given, 1] : contiguousStrides(shape);
    const turn = ([b, h, s, d]: readonly number[]) => turned ? [b, h, d, s] : [b, h, s, d];
    const type = cudnnTypes[dtype]!;
    return this.cudnn.tensor({ type, shape: turn(shape), strides: turn(strides), id });
  }

  /** A float32 tensor in memory. */
  floats(id: number, shape: readonly number[]): Descriptor {
    return this.cudnn.tensor({ type: float, shape, strides: contiguousStrides(shape), id });
  }

  /** A float32 number in host memory. */
  number(id: number): Descriptor {
    const shape = [1, 1, 1, 1];
    return this.cudnn.tensor({
      type: float,
      shape,
      strides: shape,
      id,
      byValue: true,
      alignment: 4,
    });
  }

  /** A tensor that is never in memory. */
  virtual(
    shape: readonly number[],
    strides: readonly number[] = contiguousStrides(shape),
    type: number = float,
    id: number = this.#next++,
  ): Descriptor {
    return this.cudnn.tensor({ type, shape, strides, id, virtual: true });
  }

  /** The scores, or what has been made of them. */
  scores(id?: number): Descriptor {
    const { batch, heads, queries, keys } = this.g;
    return this.virtual([batch, heads, queries, keys], undefined, float, id);
  }

  pointwise(mode: number, x: Descriptor, b: Descriptor | undefined, y: Descriptor): Descriptor {
    const what = this.cudnn.describe("POINTWISE")
      .choice("POINTWISE_MODE", "POINTWISE_MODE", mode)
      .choice("POINTWISE_MATH_PREC", "DATA_TYPE", float).finalize();
    const operation = this.cudnn.describe("OPERATION_POINTWISE")
      .descriptors("OPERATION_POINTWISE_PW_DESCRIPTOR", what)
      .descriptors("OPERATION_POINTWISE_XDESC", x);
    if (b !== undefined) operation.descriptors("OPERATION_POINTWISE_BDESC", b);
    this.operations.push(operation.descriptors("OPERATION_POINTWISE_YDESC", y).finalize());
    return y;
  }

  product(a: Descriptor, b: Descriptor, c: Descriptor): Descriptor {
    const what = this.cudnn.describe("MATMUL")
      .choice("MATMUL_COMP_TYPE", "DATA_TYPE", float).finalize();
    this.operations.push(
      this.cudnn.describe("OPERATION_MATMUL")
        .descriptors("OPERATION_MATMUL_ADESC", a)
        .descriptors("OPERATION_MATMUL_BDESC", b)
        .descriptors("OPERATION_MATMUL_CDESC", c)
        .descriptors("OPERATION_MATMUL_DESC", what).finalize(),
    );
    return c;
  }

  sum(x: Descriptor, y: Descriptor): Descriptor {
    const what = this.cudnn.describe("REDUCTION")
      .choice("REDUCTION_OPERATOR", "REDUCTION_OPERATOR_TYPE", reductions.CUDNN_REDUCE_TENSOR_ADD)
      .choice("REDUCTION_COMP_TYPE", "DATA_TYPE", float).finalize();
    this.operations.push(
      this.cudnn.describe("OPERATION_REDUCTION")
        .descriptors("OPERATION_REDUCTION_DESC", what)
        .descriptors("OPERATION_REDUCTION_XDESC", x)
        .descriptors("OPERATION_REDUCTION_YDESC", y).finalize(),
    );
    return y;
  }

  reshape(x: Descriptor, y: Descriptor): Descriptor {
    this.operations.push(
      this.cudnn.describe("OPERATION_RESHAPE")
        .descriptors("OPERATION_RESHAPE_XDESC", x)
        .choice("OPERATION_RESHAPE_MODE", "RESHAPE_MODE", VIEW_ONLY)
        .descriptors("OPERATION_RESHAPE_YDESC", y).finalize(),
    );
    return y;
  }

  /** The operation that puts the lowest number where the key comes after the query. */
  mask(x: Descriptor, y: Descriptor): Descriptor {
    return this.cudnn.describe("OPERATION_DIAGONAL_BAND_MASK")
      .descriptors("OPERATION_DIAGONAL_BAND_MASK_XDESC", x)
      .descriptors("OPERATION_DIAGONAL_BAND_MASK_BDESC", this.number(attentionIds.lowest))
      .descriptors("OPERATION_DIAGONAL_BAND_MASK_YDESC", y)
      .choice(
        "OPERATION_DIAGONAL_BAND_MASK_COMPARISON_MODE",
        "POINTWISE_MODE",
        pointwise.CUDNN_POINTWISE_CMP_GE,
      ).finalize();
  }
}

/** Operations of the forward pass: one, with the causal mask as a graph inside. */
export function attentionForward(cudnn: CudnnGraphs, g: AttentionGraph): Descriptor[] {
  const b = new Builder(cudnn, g), id = attentionIds;
  const operation = cudnn.describe("OPERATION_SDPA_FWD")
    .descriptors("OPERATION_SDPA_FWD_QDESC", b.stored("query"))
    .descriptors("OPERATION_SDPA_FWD_KDESC", b.stored("key"))
    .descriptors("OPERATION_SDPA_FWD_VDESC", b.stored("value"))
    .descriptors("OPERATION_SDPA_FWD_ODESC", b.stored("out"))
    .descriptors("OPERATION_SDPA_FWD_SCALEDESC", b.number(id.scale))
    .descriptors(
      "OPERATION_SDPA_FWD_STATSDESC",
      b.floats(id.stats, [g.batch, g.heads, g.queries, 1]),
    );
  if (g.causal) {
    const before = 30, after = 31;
    const graph = cudnn.graph([b.mask(b.scores(before), b.scores(after))]);
    operation.descriptors("OPERATION_SDPA_FWD_SUBGRAPH", graph)
      .int64("OPERATION_SDPA_FWD_SUBGRAPH_INPUT_UID", [before])
      .int64("OPERATION_SDPA_FWD_SUBGRAPH_OUTPUT_UID", [after]);
  }
  return [operation.finalize()];
}

/** Operations of the backward pass, as cuDNN wants them. */
export function attentionBackward(cudnn: CudnnGraphs, g: AttentionGraph): Descriptor[] {
  const b = new Builder(cudnn, g), id = attentionIds, p = pointwise;
  const { batch, heads, keyHeads, queries, keys, size, valueSize } = g, type = cudnnTypes[g.dtype]!;
  const query = b.stored("query"), outGradient = b.stored("outGradient");
  const keyTurned = b.stored("key", true), scale = b.number(id.scale);
  const perRow = [batch, heads, queries, 1];
  // Row sums of the gradient times the result.
  const products = b.pointwise(
    p.CUDNN_POINTWISE_MUL,
    outGradient,
    b.stored("out"),
    b.virtual([batch, heads, queries, valueSize]),
  );
  const rowSums = b.pointwise(
    p.CUDNN_POINTWISE_MUL,
    b.sum(products, b.virtual(perRow)),
    b.number(id.one),
    b.floats(id.rowSums, perRow),
  );
  // The weights once more.
  let scores = b.product(query, keyTurned, b.scores());
  scores = b.pointwise(p.CUDNN_POINTWISE_MUL, scores, scale, b.scores());
  const stats = b.floats(id.stats, perRow);
  scores = b.pointwise(p.CUDNN_POINTWISE_SUB, scores, stats, b.scores());
  if (g.causal) {
    const shown = b.scores();
    b.operations.push(b.mask(scores, shown));
    scores = shown;
  }
  const weights = b.pointwise(p.CUDNN_POINTWISE_EXP, scores, undefined, b.scores());
  const turned = (x: Descriptor) =>
    b.reshape(
      x,
      b.virtual(
        [batch, heads, keys, queries],
        [heads * queries * keys, queries * keys, 1, keys],
        type,
      ),
    );
  // Heads that share a key add up.
  const into = (x: Descriptor, y: Descriptor, to: Descriptor, elements: number) => {
    if (heads === keyHeads) return b.product(x, y, to);
    return b.sum(b.product(x, y, b.virtual([batch, heads, keys, elements], undefined, type)), to);
  };
  into(turned(weights), outGradient, b.stored("valueGradient"), valueSize);
  let gradient = b.product(outGradient, b.stored("value", true), b.scores());
  gradient = b.pointwise(p.CUDNN_POINTWISE_SUB, gradient, rowSums, b.scores());
  gradient = b.pointwise(p.CUDNN_POINTWISE_MUL, gradient, weights, b.scores());
  gradient = b.pointwise(p.CUDNN_POINTWISE_MUL, gradient, scale, b.scores());
  into(turned(gradient), query, b.stored("keyGradient"), size);
  const shape = [batch, keyHeads, keys, size], given = g.strides?.key;
  const key = b.virtual(shape, given ? [...given, 1] : contiguousStrides(shape));
  b.product(
    gradient,
    b.reshape(keyTurned, key),
    b.floats(id.queryTotal, [batch, heads, queries, size]),
  );
  b.pointwise(
    p.CUDNN_POINTWISE_IDENTITY,
    b.floats(id.queryTotal, [batch, heads, queries, size]),
    undefined,
    b.stored("queryGradient"),
  );
  return b.operations;
}
