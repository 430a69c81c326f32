/**
 * Bessel functions of order 0 and 1, and Airy's, of float64 tensors: ratios of polynomials inside; outside, amplitudes of sine and cosine
 * (Abramowitz and Stegun 9.2.5, 9.2.6) or of an exponential (9.7.1, 9.7.2).
 */
import type { Tensor } from "../tensor.ts";
import { type Ratio, ratio } from "./series.ts";
import * as t from "./tables.ts";

type Order = 0 | 1;

/** What each order is made of. */
const parts: Readonly<
  Record<
    Order,
    Readonly<
      Record<"j" | "y" | "p" | "q" | "iInner" | "iOuter" | "iSmall" | "kInner" | "kOuter", Ratio>
    >
  >
> = [
  {
    j: t.j0Inner,
    y: t.y0Inner,
    p: t.p0,
    q: t.q0,
    iInner: t.i0Inner,
    iOuter: t.i0Outer,
    iSmall: t.i0Small,
    kInner: t.k0Inner,
    kOuter: t.k0Outer,
  },
  {
    j: t.j1Inner,
    y: t.y1Inner,
    p: t.p1,
    q: t.q1,
    iInner: t.i1Inner,
    iOuter: t.i1Outer,
    iSmall: t.i1Small,
    kInner: t.k1Inner,
    kOuter: t.k1Outer,
  },
];

/** Functions of order 1 are tabled without the factor x. */
const scaled = (value: Tensor, x: Tensor, order: Order): Tensor =>
  order === 1 ? value.mul(x) : value;

/** The sign of an odd function of |x|. */
const signed = (value: Tensor, x: Tensor, order: Order): Tensor =>
  order === 1 ? x.lt(0).where(value.neg(), value) : value;

/** `P cos(c) - Q sin(c)` or `P sin(c) + Q cos(c)` times sqrt(2 / (pi x)), c = x - (2 order + 1) pi / 4. */
function wave(x: Tensor, order: Order, kind: "j" | "y"): Tensor {
  const inverse = x.reciprocal(), u = inverse.mul(inverse);
  const phase = x.sub((2 * order + 1) * Math.PI / 4);
  const [sine, cosine] = [phase.sin(), phase.cos()];
  const p = ratio(u, parts[order].p), q = ratio(u, parts[order].q).mul(inverse);
  const sum = kind === "j" ? p.mul(cosine).sub(q.mul(sine)) : p.mul(sine).add(q.mul(cosine));
  return x.eq(Infinity).where(0, sum.mul(inverse.mul(2 / Math.PI).sqrt()));
}

/** J of the first kind. */
export function besselJ(x: Tensor, order: Order): Tensor {
  const size = x.abs();
  const inner = scaled(ratio(x.mul(x), parts[order].j), size, order);
  return signed(size.le(5).where(inner, wave(size, order, "j")), x, order);
}

/** Y of the second kind: -Infinity at 0, NaN below. */
export function besselY(x: Tensor, order: Order): Tensor {
  const z = x.mul(x), log = x.log().mul(2 / Math.PI);
  const j = scaled(ratio(z, parts[order].j), x, order);
  let inner = scaled(ratio(z, parts[order].y), x, order).add(log.mul(j));
  if (order === 1) inner = inner.sub(x.reciprocal().mul(2 / Math.PI));
  const value = x.le(5).where(inner, wave(x, order, "y"));
  return x.eq(0).where(-Infinity, x.lt(0).where(NaN, value));
}

/** `exp(-|x|) I(x)`, or I itself. */
export function besselI(x: Tensor, order: Order, isScaled: boolean): Tensor {
  const size = x.abs(), inverse = size.reciprocal();
  const inner = scaled(ratio(x.mul(x), parts[order].iInner), size, order);
  const outer = ratio(inverse, parts[order].iOuter).mul(inverse.sqrt());
  // In two factors: exp(|x|) alone overflows earlier than I(x).
  const half = size.mul(0.5).exp();
  const value = isScaled
    ? size.le(8).where(inner.mul(size.neg().exp()), outer)
    : size.le(8).where(inner, size.eq(Infinity).where(Infinity, outer.mul(half).mul(half)));
  return signed(value, x, order);
}

/** `exp(x) K(x)`, or K itself: Infinity at 0, NaN below. */
export function besselK(x: Tensor, order: Order, isScaled: boolean): Tensor {
  const z = x.mul(x), inverse = x.reciprocal();
  const i = scaled(ratio(z, parts[order].iSmall), x, order).mul(x.log());
  const regular = scaled(ratio(z, parts[order].kInner), x, order);
  const inner = order === 0 ? regular.sub(i) : regular.add(i).add(inverse);
  const outer = ratio(inverse, parts[order].kOuter).mul(inverse.sqrt());
  const value = isScaled
    ? x.le(2).where(inner.mul(x.exp()), outer)
    : x.le(2).where(inner, outer.mul(x.neg().exp()));
  return x.eq(0).where(Infinity, x.lt(0).where(NaN, value));
}

/** Airy's function Ai: a polynomial in [-3, 1.5], 10.4.59 above and 10.4.60 below. Each part sees only arguments of its own, so that its gradient is finite. */
export function airyAi(x: Tensor): Tensor {
  const above = x.gt(1.5), below = x.lt(-3);
  const middle = ratio(above.logicalOr(below).where(0, x), t.airyMiddle);
  const size = above.where(x, below.where(x.neg(), 4));
  const quarter = size.sqrt().sqrt(), zeta = size.mul(size.sqrt()).mul(2 / 3);
  const inverse = zeta.reciprocal(), square = inverse.mul(inverse);
  const upper = ratio(above.where(inverse, 0.1), t.airyPositive).mul(zeta.neg().exp()).mul(0.5);
  const phase = below.where(zeta, 1).sub(Math.PI / 4);
  const v = below.where(square, 0.01);
  const lower = ratio(v, t.airyF).mul(phase.cos()).add(
    ratio(v, t.airyG).mul(inverse).mul(phase.sin()),
  );
  const outer = above.where(upper, lower).div(quarter.mul(Math.sqrt(Math.PI)));
  const value = above.logicalOr(below).where(outer, middle);
  return x.abs().eq(Infinity).where(0, value);
}

/** `sin(x) / x`. */
export function sphericalBesselJ0(x: Tensor): Tensor {
  const tame = x.abs().lt(Infinity);
  const safe = x.eq(0).where(1, tame.where(x, 1));
  return x.eq(0).where(1, x.abs().eq(Infinity).where(0, x.isnan().where(x, safe.sin().div(safe))));
}
