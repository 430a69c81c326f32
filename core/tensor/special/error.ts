/** Error functions and the normal distribution, of float64 tensors. */
import type { Tensor } from "../tensor.ts";
import { ratio } from "./series.ts";
import { erfcx as erfcxTable, erfinvCentre, erfinvTail } from "./tables.ts";

/** `exp(x^2) erfc(x)` for x >= 0, to 1e-14: a ratio in (x - 2) / (x + 2). */
function scaledTail(x: Tensor): Tensor {
  const t = x.add(2).reciprocal().mul(-4).add(1);
  return ratio(t, erfcxTable).div(x.add(1));
}

/** `exp(x^2) erfc(x)`. */
export function erfcx(x: Tensor): Tensor {
  const tail = scaledTail(x.abs());
  return x.lt(0).where(x.mul(x).exp().mul(2).sub(tail), tail);
}

/** `1 - erf(x)`, accurate in its tail. */
export function erfc(x: Tensor): Tensor {
  const tail = scaledTail(x.abs()).mul(x.mul(x).neg().exp());
  return x.lt(0).where(tail.neg().add(2), tail);
}

/** Logarithm of the normal distribution function. */
export function logNdtr(x: Tensor): Tensor {
  const half = x.mul(x).mul(0.5);
  const tail = scaledTail(x.abs().mul(Math.SQRT1_2)).mul(0.5);
  return x.lt(0).where(tail.log().sub(half), tail.mul(half.neg().exp()).neg().log1p());
}

/**
 * The z with `erf(z) = y`, where `tail = (1 - |y|) / 2`: in the middle a ratio in w = -log(4 tail (1 - tail)), outside one in
 * sqrt(-log(tail)).
 */
function inverse(y: Tensor, tail: Tensor): Tensor {
  const w = tail.mul(4).mul(tail.neg().add(1)).log().neg();
  const s = tail.log().neg().sqrt();
  const central = ratio(w, erfinvCentre).mul(y);
  const outer = ratio(s, erfinvTail);
  const inside = s.lt(2.7).where(central, y.lt(0).where(outer.neg(), outer));
  // Both ratios lose their way at tail = 0; a negative tail (and NaN) has no logarithm.
  return tail.eq(0).where(y.mul(Infinity), inside);
}

/** The z with `erf(z) = y`; NaN outside [-1, 1]. */
export function erfinv(y: Tensor): Tensor {
  const tail = y.abs().neg().add(1).mul(0.5);
  return inverse(y, tail);
}

/** The x where the normal distribution function is `p`; NaN outside [0, 1]. */
export function ndtri(p: Tensor): Tensor {
  const q = p.neg().add(1);
  return inverse(p.mul(2).sub(1), p.lt(0.5).where(p, q)).mul(Math.SQRT2);
}
