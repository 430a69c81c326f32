/** Reductions and what is composed of them. */
import { type DType, isFloat } from "../dtype.ts";
import { meaning, reduceStart } from "../meaning.ts";
import { constNode, makeNode, type Node } from "../node.ts";
import type { ReduceOp } from "../ops.ts";
import { normalizeDim, normalizeDims, numel, shapeText } from "../shape.ts";
import { castNode, wrap } from "./base.ts";
import { IndexingTensor } from "./indexing.ts";
import type { Tensor } from "./tensor.ts";

/** Dimensions to reduce over: one, several, or all when undefined. */
export type Dims = number | readonly number[] | undefined;

/** A reduction that keeps the reduced dimensions with size 1. */
export function reduceNode(op: ReduceOp, node: Node, dims: readonly number[]): Node {
  const shape = node.shape.map((s, d) => dims.includes(d) ? 1 : s);
  const { dtype, device } = node;
  if (numel(shape) === 0) return constNode(0, shape, dtype, device);
  if (numel(node.shape) === 0) return constNode(reduceStart(op, dtype), shape, dtype, device);
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

/** Operations over whole dimensions. */
export abstract class ReduceTensor extends IndexingTensor {
  /** One reduction over `dims`, computed in `dtype`. */
  private reduced(op: ReduceOp, dims: Dims, keepdim: boolean, dtype: DType): Tensor {
    const list = normalizeDims(dims, this.ndim, op);
    const out = wrap(reduceNode(op, castNode(this.node, dtype), list));
    return keepdim ? out : out.reshape(this.shape.filter((_, d) => !list.includes(d)));
  }

  /** Reductions without a neutral element need at least one. */
  private some(what: string, dims: Dims): void {
    const list = normalizeDims(dims, this.ndim, what);
    if (list.some((d) => this.shape[d] === 0)) {
      throw new RangeError(
        `Cannot take the ${what} of ${shapeText(this.shape)}: there are no elements`,
      );
    }
  }

  /** Sum; bool and small integers add up as int64. */
  sum(dims?: Dims, keepdim = false): Tensor {
    return this.reduced("sum", dims, keepdim, isFloat(this.dtype) ? this.dtype : "int64");
  }
  /** Product; bool and small integers multiply as int64. */
  prod(dims?: Dims, keepdim = false): Tensor {
    return this.reduced("prod", dims, keepdim, isFloat(this.dtype) ? this.dtype : "int64");
  }
  /**
   * Mean of floats.
   * @throws {TypeError} For integers and bool, as in PyTorch
   */
  mean(dims?: Dims, keepdim = false): Tensor {
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot take the mean of ${this.dtype}: cast to a float dtype first`);
    }
    const list = normalizeDims(dims, this.ndim, "mean");
    const count = list.reduce((n, d) => n * this.shape[d], 1);
    return this.sum(list, keepdim).mul(1 / count);
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
  /** Alias of {@linkcode ReduceTensor.amax} over all elements. */
  max(): Tensor {
    return this.amax();
  }
  /** Alias of {@linkcode ReduceTensor.amin} over all elements. */
  min(): Tensor {
    return this.amin();
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
    if (dim === undefined) {
      const flat = wrap(this.node).reshape(-1).position(op, 0, false);
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

  /** Variance with `correction` (1 by default) taken from the count. */
  var(dims?: Dims, options: { correction?: number; keepdim?: boolean } = {}): Tensor {
    const { correction = 1, keepdim = false } = options;
    const list = normalizeDims(dims, this.ndim, "variance");
    const count = list.reduce((n, d) => n * this.shape[d], 1);
    const centered = this.sub(this.mean(list, true));
    return centered.mul(centered).sum(list, keepdim).div(Math.max(0, count - correction));
  }
  /** Square root of the variance. */
  std(dims?: Dims, options: { correction?: number; keepdim?: boolean } = {}): Tensor {
    return this.var(dims, options).sqrt();
  }
  /** Euclidean norm. */
  norm(dims?: Dims, keepdim = false): Tensor {
    return this.mul(this.self).sum(dims, keepdim).sqrt();
  }
  /** `log(sum(exp(this)))` without overflow. */
  logsumexp(dims?: Dims, keepdim = false): Tensor {
    const list = normalizeDims(dims, this.ndim, "logsumexp");
    const top = this.amax(list, true).detach();
    const safe = top.isfinite().where(top, 0);
    const out = this.sub(safe).exp().sum(list, true).log().add(safe);
    return keepdim ? out : out.reshape(this.shape.filter((_, d) => !list.includes(d)));
  }

  /** `exp(this) / sum(exp(this))` along a dimension. */
  softmax(dim: number): Tensor {
    const d = normalizeDim(dim, this.ndim, "softmax"), x = this.floating();
    const e = x.sub(x.amax(d, true)).detach().exp();
    const y = e.div(e.sum(d, true));
    // The gradient needs the output alone: y * (g - sum(g * y)).
    return y.withGradient([x], (g, out) => {
      const gy = g.mul(out);
      return [gy.sub(out.mul(gy.sum(d, true)))];
    });
  }
  /** `log(softmax(this))` along a dimension. */
  logSoftmax(dim: number): Tensor {
    const d = normalizeDim(dim, this.ndim, "log-softmax"), x = this.floating();
    const shifted = x.sub(x.amax(d, true).detach());
    return shifted.sub(shifted.exp().sum(d, true).log());
  }

  /** This; a dtype without fractions has no softmax. */
  private floating(): Tensor {
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot take the softmax of ${this.dtype}: cast to a float dtype first`);
    }
    return this.self;
  }

  /** The same values without gradient history. */
  abstract detach(): Tensor;
}
