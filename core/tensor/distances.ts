/** Distances between all pairs of points. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import { broadcastShapes, shapeText } from "../shape.ts";
import { pNorm } from "./p_norm.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Distances by the p-norm between every point of `a` and every point of `b`.
 *
 * @param a Points `[..., n, size]`
 * @param b Points `[..., m, size]`; leading sizes are broadcast
 * @param p Which norm; 2 by default
 * @returns `[..., n, m]`
 * @throws {TypeError} When sizes do not fit
 * @throws {RangeError} When `p` is negative
 */
export function cdist(a: Tensor, b: Tensor, p = 2): Tensor {
  if (isAutocasting()) return underPolicy("cdist", cdist, arguments);
  const size = a.shape[a.ndim - 1];
  if (a.ndim < 2 || b.ndim < 2 || size !== b.shape[b.ndim - 1]) {
    throw new TypeError(
      `Cannot take distances between ${shapeText(a.shape)} and ${
        shapeText(b.shape)
      }: points of one size in rows are needed`,
    );
  }
  if (!(p >= 0)) {
    throw new RangeError(`Cannot take distances by norm ${p}: it must not be negative`);
  }
  broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), "take distances between");
  const difference = a.unsqueeze(-2).sub(b.unsqueeze(-3));
  return pNorm(difference, p, [difference.ndim - 1], false);
}
