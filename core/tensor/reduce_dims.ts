/** Dimensions of reductions and of operations along rows; a scalar counts as a row of one. */
import { normalizeDim, normalizeDims } from "../shape.ts";
import type { Tensor } from "./tensor.ts";

/** Dimensions to reduce over: one, several, or all when undefined. An empty list reduces nothing. */
export type Dims = number | readonly number[] | undefined;

/**
 * Sorted, distinct dimensions counted from the front. A scalar has none, and may be reduced over dim 0 or -1.
 * @throws {RangeError} When a dimension does not exist or is named twice
 */
export function reducedDims(dims: Dims, rank: number, action: string): number[] {
  if (rank > 0 || dims === undefined) return normalizeDims(dims, rank, action);
  for (const d of typeof dims === "number" ? [dims] : dims) normalizeDim(d, 1, action);
  return [];
}

/** A shape without some of its dimensions. */
export function withoutDims(shape: readonly number[], dims: readonly number[]): number[] {
  return shape.filter((_, d) => !dims.includes(d));
}

/** A tensor turned so that one dimension comes last, and the way back. */
export interface Rows {
  /** `[..., size]`. */
  readonly rows: Tensor;
  /** The dimension, counted from the front. */
  readonly dim: number;
  /** Undoes the turn for a result whose last size may differ. */
  readonly back: (result: Tensor) => Tensor;
}

/** See {@linkcode Rows}. */
export function rowsOf(x: Tensor, dim: number, action: string): Rows {
  if (x.ndim === 0) {
    normalizeDim(dim, 1, action);
    return { rows: x.reshape(1), dim: 0, back: (t) => t.reshape([]) };
  }
  const d = normalizeDim(dim, x.ndim, action);
  if (d === x.ndim - 1) return { rows: x, dim: d, back: (t) => t };
  return { rows: x.transpose(d, -1), dim: d, back: (t) => t.transpose(d, -1) };
}
