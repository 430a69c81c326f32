/**
 * Operations on the elements where a bool mask, broadcast to the tensor, is true. Reductions of no element give the neutral element, where
 * there is one, or NaN.
 *
 * @module
 */
import { type DType, isFloat } from "../dtype.ts";
import { reduceStart } from "../meaning.ts";
import { constNode } from "../node.ts";
import { wrap } from "./base.ts";
import { pNorm } from "./p_norm.ts";
import { type Dims, reducedDims, withoutDims } from "./reduce_dims.ts";
import type { Tensor } from "./tensor.ts";

/** Options of masked operations. */
export interface MaskedOptions {
  /** True where an element counts; everywhere by default. */
  readonly mask?: Tensor;
  /** Dtype of the computation. */
  readonly dtype?: DType;
}

/** Options of masked reductions. */
export interface MaskedReductionOptions extends MaskedOptions {
  /** Whether reduced dimensions stay with size 1. */
  readonly keepdim?: boolean;
}

/** The tensor with `fill` where the mask is false. */
function filled(x: Tensor, fill: number, { mask, dtype }: MaskedOptions): Tensor {
  const y = dtype === undefined ? x : x.to(dtype);
  if (mask === undefined) return y;
  if (mask.dtype !== "bool") {
    throw new TypeError(`Cannot mask by ${mask.describe()}: it must be bool`);
  }
  return mask.expand(x.shape).where(y, wrap(constNode(fill, [], y.dtype, y.device)));
}

/** Number of elements that count, dimensions kept. */
function counted(x: Tensor, dims: readonly number[], { mask }: MaskedOptions): Tensor {
  const ones = mask === undefined
    ? wrap(constNode(1, x.shape, "int64", x.device))
    : mask.expand(x.shape);
  return ones.sum(dims, true);
}

/** A result with its reduced dimensions kept or not. */
function trimmed(y: Tensor, dims: readonly number[], keepdim = false): Tensor {
  return keepdim ? y : y.reshape(withoutDims(y.shape, dims));
}

/** Sum; 0 of none. */
export function sum(x: Tensor, dims?: Dims, options: MaskedReductionOptions = {}): Tensor {
  return filled(x, 0, options).sum(dims, options.keepdim);
}
/** Product; 1 of none. */
export function prod(x: Tensor, dims?: Dims, options: MaskedReductionOptions = {}): Tensor {
  return filled(x, 1, options).prod(dims, options.keepdim);
}
/** Largest element; the lowest number of the dtype of none. */
export function amax(x: Tensor, dims?: Dims, options: MaskedReductionOptions = {}): Tensor {
  const lowest = reduceStart("max", options.dtype ?? x.dtype);
  return filled(x, lowest, options).amax(dims, options.keepdim);
}
/** Smallest element; the highest number of the dtype of none. */
export function amin(x: Tensor, dims?: Dims, options: MaskedReductionOptions = {}): Tensor {
  const highest = reduceStart("min", options.dtype ?? x.dtype);
  return filled(x, highest, options).amin(dims, options.keepdim);
}
/** Index of the first largest element, in `dtype` (as in PyTorch that of the input by default); 0 of none. */
export function argmax(x: Tensor, dim?: number, options: MaskedReductionOptions = {}): Tensor {
  const lowest = reduceStart("max", options.dtype ?? x.dtype);
  return filled(x, lowest, options).argmax(dim, options.keepdim).to(options.dtype ?? x.dtype);
}
/** Index of the first smallest element, in `dtype` (as in PyTorch that of the input by default); 0 of none. */
export function argmin(x: Tensor, dim?: number, options: MaskedReductionOptions = {}): Tensor {
  const highest = reduceStart("min", options.dtype ?? x.dtype);
  return filled(x, highest, options).argmin(dim, options.keepdim).to(options.dtype ?? x.dtype);
}
/** Mean; NaN of none. Integers are averaged as float32. */
export function mean(x: Tensor, dims?: Dims, options: MaskedReductionOptions = {}): Tensor {
  const dtype = options.dtype ?? (isFloat(x.dtype) ? x.dtype : "float32");
  const list = reducedDims(dims, x.ndim, "masked mean");
  const total = filled(x, 0, { ...options, dtype }).sum(list, true);
  return trimmed(total.div(counted(x, list, options)), list, options.keepdim);
}
/** The lower of the two middle elements along a dimension; NaN of none. */
export function median(x: Tensor, dim: number, options: MaskedReductionOptions = {}): Tensor {
  return filled(x, NaN, options).nanmedian(dim, options.keepdim).values;
}
/** Norm of the elements as a vector; see `Tensor.vectorNorm`. */
export function norm(
  x: Tensor,
  ord = 2,
  dims?: Dims,
  options: MaskedReductionOptions = {},
): Tensor {
  const list = reducedDims(dims, x.ndim, "masked norm");
  // Below 0 a missing element must be large to count for nothing.
  return pNorm(filled(x, ord < 0 ? Infinity : 0, options), ord, list, options.keepdim ?? false);
}
/** Variance with `correction` (1 by default) taken from the count. */
export function variance(
  x: Tensor,
  dims?: Dims,
  options: MaskedReductionOptions & { correction?: number } = {},
): Tensor {
  const { correction = 1, keepdim } = options;
  const list = reducedDims(dims, x.ndim, "masked variance");
  const count = counted(x, list, options);
  const y = options.dtype === undefined ? x : x.to(options.dtype);
  const middle = sum(x, list, { ...options, keepdim: true }).div(count);
  const squares = sum(y.sub(middle).square(), list, { mask: options.mask, keepdim: true });
  const freedom = count.to(squares.dtype).sub(correction).clamp({ min: 0 });
  return trimmed(squares.div(freedom), list, keepdim);
}
export { variance as var };
/** Square root of the variance. */
export function std(
  x: Tensor,
  dims?: Dims,
  options: MaskedReductionOptions & { correction?: number } = {},
): Tensor {
  return variance(x, dims, options).sqrt();
}
/** Logarithm of the sum of exponentials; minus infinity of none. */
export function logsumexp(x: Tensor, dims?: Dims, options: MaskedReductionOptions = {}): Tensor {
  return filled(x, -Infinity, options).logsumexp(dims, options.keepdim);
}
/** Running sum along a dimension; masked elements add nothing. */
export function cumsum(x: Tensor, dim: number, options: MaskedOptions = {}): Tensor {
  return filled(x, 0, options).cumsum(dim);
}
/** Running product along a dimension; masked elements change nothing. */
export function cumprod(x: Tensor, dim: number, options: MaskedOptions = {}): Tensor {
  return filled(x, 1, options).cumprod(dim);
}
/** Softmax along a dimension; masked elements get 0, and a row of none NaN. */
export function softmax(x: Tensor, dim: number, options: MaskedOptions = {}): Tensor {
  return filled(x, -Infinity, options).softmax(dim);
}
/** Logarithm of the softmax along a dimension; masked elements get minus infinity, and a row of none NaN. */
export function logSoftmax(x: Tensor, dim: number, options: MaskedOptions = {}): Tensor {
  return filled(x, -Infinity, options).logSoftmax(dim);
}
/** Softmax of the negated elements along a dimension. */
export function softmin(x: Tensor, dim: number, options: MaskedOptions = {}): Tensor {
  return filled(x, Infinity, options).neg().softmax(dim);
}
/** Elements divided by the norm of their row, at least `eps` (1e-12 by default); masked elements give 0. */
export function normalize(
  x: Tensor,
  ord: number,
  dim: number,
  options: MaskedOptions & { eps?: number } = {},
): Tensor {
  const { eps = 1e-12 } = options;
  const size = norm(x, ord, dim, { ...options, keepdim: true });
  return filled(x, 0, options).div(size.clamp({ min: eps }));
}
/** `log(exp(x) + exp(y))`, where masked elements count for nothing. */
export function logaddexp(
  x: Tensor,
  y: Tensor,
  options: { inputMask?: Tensor; otherMask?: Tensor } = {},
): Tensor {
  const a = filled(x, -Infinity, { mask: options.inputMask });
  const b = filled(y, -Infinity, { mask: options.otherMask });
  return a.logaddexp(b);
}
