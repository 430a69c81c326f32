/** Distances, similarities and scaling to unit norm. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { hostIndex } from "../../tensor/ramp.ts";

/** Options of {@linkcode normalize}. */
export interface NormalizeOptions {
  /** Which norm; 2 by default. */
  readonly p?: number;
  /** Dimension of the vectors; 1 by default. */
  readonly dim?: number;
  /** The least that is divided by; 1e-12 by default. */
  readonly eps?: number;
}

/**
 * Vectors along a dimension divided by their norm.
 *
 * @param x Any shape
 * @param options Norm, dimension, eps
 * @returns Same shape as `x`
 * @throws {RangeError} When the dimension does not exist
 */
export function normalize(x: Tensor, options: NormalizeOptions = {}): Tensor {
  const { p = 2, dim = 1, eps = 1e-12 } = options;
  return x.div(x.vectorNorm(p, dim, { keepdim: true }).clamp({ min: eps }));
}

/** Options of {@linkcode cosineSimilarity}. */
export interface CosineSimilarityOptions {
  /** Dimension of the vectors; 1 by default. */
  readonly dim?: number;
  /** The least norm that is divided by; 1e-8 by default. */
  readonly eps?: number;
}

/** A vector's norm, at least `eps`; the gradient does not see the limit. */
function atLeast(norm: Tensor, eps: number): Tensor {
  return norm.detach().clamp({ min: eps }).withGradient([norm], (g) => [g]);
}

/**
 * Cosine of the angle between vectors along a dimension: `a . b / (max(|a|, eps) max(|b|, eps))`.
 *
 * @param a Any shape
 * @param b Broadcast with `a`
 * @param options Dimension (of the broadcast shape), eps
 * @returns The broadcast shape without the dimension
 * @throws {TypeError} When the shapes do not fit
 * @throws {RangeError} When the dimension does not exist
 */
export function cosineSimilarity(
  a: Tensor,
  b: Tensor,
  options: CosineSimilarityOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("cosineSimilarity", cosineSimilarity, arguments);
  const { dim = 1, eps = 1e-8 } = options;
  // Both at the broadcast shape, since the dimension counts there.
  const rank = Math.max(a.ndim, b.ndim);
  const shape = Array.from({ length: rank }, (_, d) => {
    const sizes = [a, b].map((t) => t.shape[d - rank + t.ndim] ?? 1);
    return sizes[0] === 1 ? sizes[1] : sizes[0];
  });
  const units = [a, b].map((t) => {
    const wide = t.expand(shape);
    return wide.div(atLeast(wide.vectorNorm(2, dim, { keepdim: true }), eps));
  });
  return units[0].mul(units[1]).sum(dim);
}

/** Options of {@linkcode pairwiseDistance}. */
export interface PairwiseDistanceOptions {
  /** Which norm; 2 by default. */
  readonly p?: number;
  /** Added to each difference; 1e-6 by default. */
  readonly eps?: number;
  /** Whether the last dimension stays with size 1. */
  readonly keepdim?: boolean;
}

/**
 * Norm of `a - b + eps` along the last dimension.
 *
 * @param a `[..., size]`
 * @param b Broadcast with `a`
 * @param options Norm, eps, keepdim
 * @returns `[...]`
 * @throws {TypeError} When the shapes do not fit
 */
export function pairwiseDistance(
  a: Tensor,
  b: Tensor,
  options: PairwiseDistanceOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("pairwiseDistance", pairwiseDistance, arguments);
  const { p = 2, eps = 1e-6, keepdim = false } = options;
  return a.sub(b).add(eps).vectorNorm(p, -1, { keepdim });
}

/**
 * Distances by the p-norm between all pairs of rows, the first with the others, the second with those after it, and so on.
 *
 * @param x `[n, size]`
 * @param p Which norm; 2 by default
 * @returns `[n (n - 1) / 2]`
 * @throws {TypeError} When `x` is no matrix
 * @throws {RangeError} When `p` is negative
 */
export function pdist(x: Tensor, p = 2): Tensor {
  if (isAutocasting()) return underPolicy("pdist", pdist, arguments);
  if (x.ndim !== 2) {
    throw new TypeError(
      `Cannot take distances between the rows of ${x.describe()}: a matrix is needed`,
    );
  }
  if (!(p >= 0)) {
    throw new RangeError(`Cannot take distances by norm ${p}: it must not be negative`);
  }
  const n = x.shape[0], first: number[] = [], second: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      first.push(i);
      second.push(j);
    }
  }
  const [a, b] = [first, second].map((rows) => x.indexSelect(0, hostIndex(rows, x.device)));
  return a.sub(b).vectorNorm(p, 1);
}
