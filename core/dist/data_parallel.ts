/** Data parallel: the same weights on every rank, gradients summed in buckets that are graph nodes. */
import { type DType, dtypes, type HostArray } from "../dtype.ts";
import { cat, noGrad, type Parameter, type Tensor } from "../tensor/mod.ts";
import type { CommArray } from "./collective.ts";
import { type Comm, communicator } from "./comm.ts";

/** How gradients travel: as they are, or rounded to 16 bits, which halves the bytes. */
export type CommHook = "none" | "fp16" | "bf16";

/** Options of {@linkcode allReduceGradients}. */
export interface AllReduceGradientsOptions {
  /** Name of the registered communicator; `world` by default. */
  readonly group?: string;
  /** A bucket is closed once it holds so many bytes; 25 MiB by default, as in PyTorch. */
  readonly bucketBytes?: number;
  /**
   * Gradients of float32 and float64 travel as float16 (`fp16`) or bfloat16 (`bf16`), which PyTorch calls compress hooks. `none` by default. For
   * float16 they are divided by the number of ranks before, so that the sum overflows no sooner than one of them.
   */
  readonly commHook?: CommHook;
  /** 0-d tensor that is summed along, such as the weight of this rank's gradients. */
  readonly weight?: Tensor;
}

/** Gradients that travel together. */
interface Bucket {
  readonly dtype: DType;
  readonly parameters: Parameter[];
  bytes: number;
}

const is32Up = (t: Tensor) => t.dtype === "float32" || t.dtype === "float64";

/** The sum of a bucket over the ranks. */
const compressors: Readonly<Record<CommHook, (bucket: Tensor, group: string) => Tensor>> = {
  none: (bucket, group) => bucket.allReduce(group),
  fp16: (bucket, group) => {
    if (!is32Up(bucket)) return bucket.allReduce(group);
    const n = communicator(group).worldSize;
    return bucket.div(n).to("float16").allReduce(group).to(bucket.dtype).mul(n);
  },
  bf16: (bucket, group) =>
    is32Up(bucket)
      ? bucket.to("bfloat16").allReduce(group).to(bucket.dtype)
      : bucket.allReduce(group),
};

const numelOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/**
 * Groups parameters in reverse order, which is about the order in which a backward pass finishes their gradients, by dtype and size.
 *
 * @param parameters Parameters with gradients
 * @param bucketBytes Size at which a bucket is closed
 */
function makeBuckets(parameters: readonly Parameter[], bucketBytes: number): Bucket[] {
  const buckets: Bucket[] = [];
  const open = new Map<DType, Bucket>();
  for (const p of parameters.toReversed()) {
    const { dtype, shape } = p.grad!;
    let bucket = open.get(dtype);
    if (bucket === undefined) {
      bucket = { dtype, parameters: [], bytes: 0 };
      buckets.push(bucket);
      open.set(dtype, bucket);
    }
    bucket.parameters.push(p);
    bucket.bytes += numelOf(shape) * dtypes[dtype].bytes;
    if (bucket.bytes >= bucketBytes) open.delete(dtype);
  }
  return buckets;
}

/**
 * Replaces each gradient by its sum over the ranks, as graph nodes: gradients are joined to buckets, each bucket is one all-reduce that starts as
 * soon as its part of the backward pass is done, and each gradient becomes a view of its bucket. Every rank must have gradients of the same parameters.
 *
 * @param parameters All parameters, in model order; those without a gradient are skipped
 * @param options The ranks, bucket size, and a weight to sum along
 * @returns The sum of the weights over the ranks; `undefined` without a weight
 * @throws {RangeError} When a weight is given and no parameter has a gradient
 */
export function allReduceGradients(
  parameters: readonly Parameter[],
  options: AllReduceGradientsOptions = {},
): Tensor | undefined {
  const { group = "world", bucketBytes = 25 * 2 ** 20, weight, commHook = "none" } = options;
  const sumOf = compressors[commHook];
  return noGrad(() => {
    const buckets = makeBuckets(parameters.filter((p) => p.grad !== undefined), bucketBytes);
    let total: Tensor | undefined;
    for (const [i, bucket] of buckets.entries()) {
      const isLast = i === buckets.length - 1, isPlain = commHook === "none";
      const parts = bucket.parameters.map((p) => p.grad!.flatten());
      // The weight travels at the end of the last bucket, whatever its dtype: weights are small numbers. Rounded to 16 bits it would scale everything.
      const hasWeight = isLast && weight !== undefined;
      if (hasWeight && isPlain) parts.push(weight.to(bucket.dtype).reshape(1));
      const sum = sumOf(cat(parts), group);
      let at = 0;
      for (const p of bucket.parameters) {
        const { shape } = p.grad!;
        const length = numelOf(shape);
        p.grad = sum.narrow(0, at, length).reshape(...shape);
        at += length;
      }
      if (hasWeight) total = isPlain ? sum.select(0, at) : weight.allReduce(group);
    }
    if (weight !== undefined && total === undefined) {
      throw new RangeError("Cannot sum gradients over the ranks: no parameter has one");
    }
    return total;
  });
}

/**
 * A host array as a communicator carries it when nothing is to be computed.
 *
 * @param data Any host array
 */
export function hostView(data: HostArray): CommArray {
  if (!(data instanceof Float16Array)) return data;
  return new Uint16Array(data.buffer, data.byteOffset, data.length);
}

/**
 * Overwrites tensors on all ranks by those of one rank, so that all start from the same weights.
 *
 * @param tensors The same list on every rank
 * @param comm The ranks
 * @param root Rank that has the right values
 */
export function broadcastFromRoot(tensors: readonly Tensor[], comm: Comm, root = 0): void {
  for (const t of tensors) {
    const data = t.data();
    comm.broadcast(hostView(data), root).wait();
    if (comm.rank !== root) t.copy_(data);
  }
}
