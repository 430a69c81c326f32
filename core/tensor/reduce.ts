/** Reductions that a kernel ends rows with, and what is composed of them. */
import { type DType, isFloat } from "../dtype.ts";
import { meaning, reduceStart } from "../meaning.ts";
import { constNode, emptyNode, makeNode, type Node } from "../node.ts";
import type { ReduceOp } from "../ops.ts";
import { normalizeDim, numel, shapeText } from "../shape.ts";
import { castNode, wrap } from "./base.ts";
import { IndexingTensor } from "./indexing.ts";
import { type Dims, reducedDims, withoutDims } from "./reduce_dims.ts";
import type { Tensor } from "./tensor.ts";

/** A reduction that keeps the reduced dimensions with size 1. */
export function reduceNode(op: ReduceOp, node: Node, dims: readonly number[]): Node {
  const shape = node.shape.map((s, d) => dims.includes(d) ? 1 : s);
  const { dtype, device } = node;
  if (numel(node.shape) === 0) {
    const value = numel(shape) === 0 ? 0 : reduceStart(op, dtype);
    return emptyNode(value, shape, dtype, device, [node]);
  }
  if (node.kind === "const") {
    const count = numel(node.shape) / numel(shape), { value } = node.arg;
    const folded: Record<ReduceOp, number> = {
      sum: value * count,
      prod: value ** count,
      max: value,
      min: value,
    };
    return constNode(meaning.cast(dtype, folded[op]), shape, dtype, device);
  }
  const real = dims.filter((d) => node.shape[d] !== 1);
  if (real.length === 0) return node;
  return makeNode("reduce", { op, dims: real }, [node], shape, dtype, device);
}

/** What `max` and `min` along a dimension give. */
export interface Extremes {
  /** The extreme elements. */
  readonly values: Tensor;
  /** Where they are along the dimension, int64. */
  readonly indices: Tensor;
}

/** Operations over whole dimensions. Those over a scalar accept dim 0 and -1. */
export abstract class ReduceTensor extends IndexingTensor {
  /** One reduction over `dims`, computed in `dtype`. */
  private reduced(op: ReduceOp, dims: Dims, keepdim: boolean, dtype: DType): Tensor {
    const list = reducedDims(dims, this.ndim, op);
    const out = wrap(reduceNode(op, castNode(this.node, dtype), list));
    return keepdim ? out : out.reshape(withoutDims(this.shape, list));
  }

  /** Reductions without a neutral element need at least one. */
  private some(what: string, dims: Dims): void {
    const list = reducedDims(dims, this.ndim, what);
    if (list.some((d) => this.shape[d] === 0)) {
      throw new RangeError(
        `Cannot take the ${what} of ${shapeText(this.shape)}: there are no elements`,
      );
    }
  }

  /** Sum, in `dtype`; bool and integers add up as int64 by default. */
  sum(dims?: Dims, keepdim = false, options: { dtype?: DType } = {}): Tensor {
    const { dtype = isFloat(this.dtype) ? this.dtype : "int64" } = options;
    return this.reduced("sum", dims, keepdim, dtype);
  }
  /** Product, in `dtype`; bool and integers multiply as int64 by default. */
  prod(dims?: Dims, keepdim = false, options: { dtype?: DType } = {}): Tensor {
    const { dtype = isFloat(this.dtype) ? this.dtype : "int64" } = options;
    return this.reduced("prod", dims, keepdim, dtype);
  }
  /**
   * Mean, in `dtype`.
   * @throws {TypeError} When that is no float dtype, as in PyTorch
   */
  mean(dims?: Dims, keepdim = false, options: { dtype?: DType } = {}): Tensor {
    const { dtype = this.dtype } = options;
    if (!isFloat(dtype)) {
      throw new TypeError(`Cannot take the mean of ${dtype}: cast to a float dtype first`);
    }
    const list = reducedDims(dims, this.ndim, "mean");
    const count = list.reduce((n, d) => n * this.shape[d], 1);
    return this.sum(list, keepdim, { dtype }).mul(1 / count);
  }
  /** Largest element; NaN wins; a gradient is shared among equals. */
  amax(dims?: Dims, keepdim = false): Tensor {
    this.some("maximum", dims);
    return this.reduced("max", dims, keepdim, this.dtype);
  }
  /** Smallest element; NaN wins; a gradient is shared among equals. */
  amin(dims?: Dims, keepdim = false): Tensor {
    this.some("minimum", dims);
    return this.reduced("min", dims, keepdim, this.dtype);
  }
  /** Smallest and largest elements, over all dimensions or one. */
  aminmax(options: { dim?: number; keepdim?: boolean } = {}): { min: Tensor; max: Tensor } {
    const { dim, keepdim } = options;
    return { min: this.amin(dim, keepdim), max: this.amax(dim, keepdim) };
  }

  /** The largest element of all. */
  max(): Tensor;
  /** The larger of two, element by element; NaN wins. */
  max(other: Tensor): Tensor;
  /** The first largest elements along a dimension, which get the whole gradient. */
  max(dim: number, keepdim?: boolean): Extremes;
  max(dim?: number | Tensor, keepdim = false): Tensor | Extremes {
    return dim === undefined
      ? this.amax()
      : typeof dim === "number"
      ? this.extremes("max", dim, keepdim)
      : this.maximum(dim);
  }
  /** The smallest element of all. */
  min(): Tensor;
  /** The smaller of two, element by element; NaN wins. */
  min(other: Tensor): Tensor;
  /** The first smallest elements along a dimension, which get the whole gradient. */
  min(dim: number, keepdim?: boolean): Extremes;
  min(dim?: number | Tensor, keepdim = false): Tensor | Extremes {
    return dim === undefined
      ? this.amin()
      : typeof dim === "number"
      ? this.extremes("min", dim, keepdim)
      : this.minimum(dim);
  }
  /** Values and places of the extremes along a dimension. */
  private extremes(op: "max" | "min", dim: number, keepdim: boolean): Extremes {
    const kept = this.position(op, dim, true);
    if (this.ndim === 0) return { values: this.self, indices: kept };
    const d = normalizeDim(dim, this.ndim, op), values = this.gather(d, kept);
    return keepdim
      ? { values, indices: kept }
      : { values: values.squeeze(d), indices: kept.squeeze(d) };
  }

  /** Whether any element is not zero. */
  any(dims?: Dims, keepdim = false): Tensor {
    return this.bool().reduced("max", dims, keepdim, "bool");
  }
  /** Whether no element is zero. */
  all(dims?: Dims, keepdim = false): Tensor {
    return this.bool().reduced("min", dims, keepdim, "bool");
  }
  /** Number of elements that are not zero, int64. */
  countNonzero(dims?: Dims): Tensor {
    return this.bool().sum(dims);
  }

  /** Place of the extreme element, int64. */
  private position(op: "max" | "min", dim: number | undefined, keepdim: boolean): Tensor {
    if (dim === undefined || this.ndim === 0) {
      reducedDims(dim, this.ndim, `arg${op}`);
      const flat = wrap(this.node).reshape(this.numel).position(op, 0, false);
      return keepdim ? flat.reshape(this.shape.map(() => 1)) : flat;
    }
    const d = normalizeDim(dim, this.ndim, `arg${op}`), size = this.shape[d];
    this.some(`arg${op}`, d);
    const best = this.reduced(op, d, true, this.dtype);
    const ramp = makeNode("index", null, [], [size], "int32", this.device, false);
    const at = wrap(ramp).reshape(this.shape.map((_, i) => i === d ? size : 1));
    // NaN is the best value where there is one, and differs from itself.
    const hit = this.eq(best).logicalOr(this.isnan());
    return hit.where(at, size).amin(d, keepdim).to("int64");
  }
  /** Index of the first largest element, int64. */
  argmax(dim?: number, keepdim = false): Tensor {
    return this.position("max", dim, keepdim);
  }
  /** Index of the first smallest element, int64. */
  argmin(dim?: number, keepdim = false): Tensor {
    return this.position("min", dim, keepdim);
  }

  /** `log(sum(exp(this)))` without overflow; integers become float32. */
  logsumexp(dims?: Dims, keepdim = false): Tensor {
    const list = reducedDims(dims, this.ndim, "logsumexp");
    const x = isFloat(this.dtype) ? this.self : wrap(castNode(this.node, "float32"));
    // Nothing adds up to 0, whose logarithm is minus infinity.
    const empty = list.some((d) => this.shape[d] === 0);
    const top = empty ? undefined : x.amax(list, true).detach();
    const safe = top?.isfinite().where(top, 0) ?? 0;
    const out = x.sub(safe).exp().sum(list, true).log().add(safe);
    return keepdim ? out : out.reshape(withoutDims(this.shape, list));
  }

  /** `exp(this) / sum(exp(this))` along a dimension, in `dtype`. */
  softmax(dim: number, options: { dtype?: DType } = {}): Tensor {
    const x = this.floating(options.dtype), d = reducedDims(dim, this.ndim, "softmax");
    if (this.numel === 0) return x;
    const e = x.sub(x.amax(d, true)).detach().exp();
    const y = e.div(e.sum(d, true));
    // The gradient needs the output alone: y * (g - sum(g * y)). Where y is nearly 1 the difference is small beside the rounding of the
    // sum, so its own mean, which is nothing but that rounding, is taken away too.
    return y.withGradient([x], (g, out) => {
      const part = g.sub(g.mul(out).sum(d, true));
      return [out.mul(part.sub(part.mul(out).sum(d, true)))];
    });
  }
  /** `log(softmax(this))` along a dimension, in `dtype`. */
  logSoftmax(dim: number, options: { dtype?: DType } = {}): Tensor {
    const x = this.floating(options.dtype), d = reducedDims(dim, this.ndim, "log-softmax");
    if (this.numel === 0) return x;
    const shifted = x.sub(x.amax(d, true).detach());
    return shifted.sub(shifted.exp().sum(d, true).log());
  }

  /** This in a float dtype; one without fractions has no softmax. */
  private floating(dtype: DType = this.dtype): Tensor {
    if (!isFloat(dtype)) {
      throw new TypeError(`Cannot take the softmax of ${dtype}: cast to a float dtype first`);
    }
    return wrap(castNode(this.node, dtype));
  }

  /** The same values without gradient history. */
  abstract detach(): Tensor;
}
