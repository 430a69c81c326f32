/** Orthogonal polynomials by their recurrences (Abramowitz and Stegun 22.7), of float64 tensors. */
import type { Tensor } from "../tensor.ts";
import { onesBeside } from "./series.ts";

/** Names of the families. */
export type Family =
  | "chebyshevT"
  | "chebyshevU"
  | "chebyshevV"
  | "chebyshevW"
  | "hermiteH"
  | "hermiteHe"
  | "laguerreL"
  | "legendreP";

/** A family: its member of degree 1, and the one of degree n + 1 from those of degree n and n - 1. */
interface Recurrence {
  readonly first: (x: Tensor) => Tensor;
  readonly next: (x: Tensor, n: number, p: Tensor, before: Tensor) => Tensor;
}

const chebyshev = (slope: number, offset: number): Recurrence => ({
  first: (x) => x.mul(slope).add(offset),
  next: (x, _, p, before) => x.mul(2).mul(p).sub(before),
});

const families: Readonly<Record<Family, Recurrence>> = {
  chebyshevT: chebyshev(1, 0),
  chebyshevU: chebyshev(2, 0),
  chebyshevV: chebyshev(2, -1),
  chebyshevW: chebyshev(2, 1),
  hermiteH: {
    first: (x) => x.mul(2),
    next: (x, n, p, before) => x.mul(p).sub(before.mul(n)).mul(2),
  },
  hermiteHe: { first: (x) => x, next: (x, n, p, before) => x.mul(p).sub(before.mul(n)) },
  laguerreL: {
    first: (x) => x.neg().add(1),
    next: (x, n, p, before) => x.neg().add(2 * n + 1).mul(p).sub(before.mul(n)).div(n + 1),
  },
  legendreP: {
    first: (x) => x,
    next: (x, n, p, before) => x.mul(2 * n + 1).mul(p).sub(before.mul(n)).div(n + 1),
  },
};

/** Largest degree: each one adds a few operations to the graph. */
export const LARGEST_DEGREE = 1000;

/**
 * The member of degree `n` at `x`; negative degrees give 0, fractions are cut off.
 * @param degree The same everywhere, or for each element; then `largest` is the largest of them
 */
export function orthogonal(
  family: Family,
  x: Tensor,
  degree: number | Tensor,
  largest: number,
): Tensor {
  const { first, next } = families[family];
  let [before, p] = [onesBeside(x), first(x)];
  if (typeof degree === "number") {
    if (largest < 0) return x.mul(0);
    for (let n = 1; n < largest; n++) [before, p] = [p, next(x, n, p, before)];
    return largest === 0 ? before : p;
  }
  const whole = degree.trunc();
  let out = whole.eq(0).where(before, 0);
  for (let n = 1; n <= largest; n++) {
    out = whole.eq(n).where(p, out);
    [before, p] = [p, next(x, n, p, before)];
  }
  return out;
}
