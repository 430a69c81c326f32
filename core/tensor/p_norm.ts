/** Norms of vectors, and the square root that goes with them. */
import { isFloat } from "../dtype.ts";
import { withoutDims } from "./reduce_dims.ts";
import type { Tensor } from "./tensor.ts";

/** Square root whose slope at 0 is 0 and not infinite, as deviations and norms want it. */
export function flatRoot(x: Tensor): Tensor {
  return x.detach().sqrt().withGradient([x], (g, y) => {
    const zero = y.eq(0);
    return [zero.where(0, g.div(zero.where(1, y).mul(2)))];
  });
}

/** `sum(|x|^p)^(1/p)` and its limits, dimensions kept. */
function value(x: Tensor, p: number, dims: readonly number[]): Tensor {
  if (p === 0) return x.ne(0).to(x.dtype).sum(dims, true);
  if (p === 1) return x.abs().sum(dims, true);
  if (p === 2) return x.mul(x).sum(dims, true).sqrt();
  if (p === Infinity) return x.abs().amax(dims, true);
  if (p === -Infinity) return x.abs().amin(dims, true);
  return x.abs().pow(p).sum(dims, true).pow(1 / p);
}

/** Slope of the norm `y` by each element: 0 where either is 0, and shared evenly among equal extremes. */
function slope(x: Tensor, y: Tensor, p: number, dims: readonly number[]): Tensor | undefined {
  if (p === 0) return undefined;
  if (p === 1) return x.sign();
  if (Math.abs(p) === Infinity) {
    const hit = x.abs().eq(y).to(x.dtype);
    return x.sign().mul(hit.div(hit.sum(dims, true)));
  }
  const flat = y.eq(0), safe = flat.where(1, y);
  if (p === 2) return flat.where(0, x.div(safe));
  const zero = x.eq(0).logicalOr(flat);
  return zero.where(0, x.sign().mul(zero.where(1, x.abs().div(safe)).pow(p - 1)));
}

/**
 * The p-norm of vectors that lie along `dims`, with the gradient that PyTorch defines at kinks.
 *
 * @param x Of a float dtype
 * @param p Any number; 0 counts what is not 0, plus and minus infinity give the largest and smallest magnitude
 * @param dims Dimensions counted from the front
 * @param keepdim Whether they stay with size 1
 * @throws {TypeError} When `x` holds no floats
 */
export function pNorm(x: Tensor, p: number, dims: readonly number[], keepdim: boolean): Tensor {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`Cannot take a norm of ${x.dtype}: cast to a float dtype first`);
  }
  const y = value(x.detach(), p, dims).withGradient([x], (g, out) => {
    const s = slope(x, out, p, dims);
    return [s === undefined ? g.mul(0).expand(x.shape) : g.mul(s)];
  });
  return keepdim ? y : y.reshape(withoutDims(x.shape, dims));
}
