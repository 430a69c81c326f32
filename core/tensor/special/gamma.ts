/** The gamma function and its kin, of float64 tensors. Sources: Abramowitz and Stegun, chapter 6; Olver, "Asymptotics and special functions", chapter 8. */
import type { Tensor } from "../tensor.ts";
import { counts, polynomial, reciprocalPower, row } from "./series.ts";
import { legendreNodes, legendreWeights } from "./tables.ts";

/** Bernoulli's numbers B2, B4, ... B16. */
const bernoulli = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510];
/** Stirling's series in odd powers of 1 / x, highest first. */
const stirlingTerms = bernoulli.map((b, i) => b / ((2 * i + 2) * (2 * i + 1))).reverse();
// Arguments below this are shifted up by it, where eight terms of the asymptotic series are exact to rounding.
const SHIFT = 7;

/** `x` less the nearest whole number: sin and cos of pi times it have no large arguments to lose digits in. */
const offWhole = (x: Tensor): Tensor => x.sub(x.round());

/** Cotangent of pi x. */
function cotangent(x: Tensor): Tensor {
  const phase = offWhole(x).mul(Math.PI);
  return phase.cos().div(phase.sin());
}

/** Whether `x` is zero or a negative whole number. */
const isPole = (x: Tensor): Tensor => x.le(0).logicalAnd(x.floor().eq(x));

/** `log |Gamma(x)|`: Stirling's series (6.1.40), arguments below 7 shifted up, below 1/2 reflected (6.1.17). */
export function lgamma(x: Tensor): Tensor {
  const reflected = x.lt(0.5), y = reflected.where(x.neg().add(1), x);
  const small = y.lt(SHIFT), z = small.where(y.add(SHIFT), y);
  let product = y;
  for (let k = 1; k < SHIFT; k++) product = product.mul(y.add(k));
  const inverse = z.reciprocal();
  const series = polynomial(inverse.mul(inverse), stirlingTerms).mul(inverse);
  const stirling = z.sub(0.5).mul(z.log().sub(1)).add(series).add(Math.log(2 * Math.PI) / 2 - 0.5);
  const direct = small.where(stirling.sub(product.log()), stirling);
  const sine = offWhole(x).mul(Math.PI).sin().abs();
  const value = reflected.where(sine.div(Math.PI).log().neg().sub(direct), direct);
  const zero = x.eq(1).logicalOr(x.eq(2));
  return x.abs().eq(Infinity).where(Infinity, zero.where(0, value));
}

/** Derivative of `log |Gamma(x)|`: 6.3.18, shifted (6.3.6) and reflected (6.3.7). NaN at negative whole numbers. */
export function digamma(x: Tensor): Tensor {
  const reflected = x.lt(0.5), y = reflected.where(x.neg().add(1), x);
  const small = y.lt(SHIFT), z = small.where(y.add(SHIFT), y);
  let sum = y.reciprocal();
  for (let k = 1; k < SHIFT; k++) sum = sum.add(y.add(k).reciprocal());
  const inverse = z.reciprocal(), square = inverse.mul(inverse);
  const series = polynomial(square, bernoulli.map((b, i) => b / (2 * i + 2)).reverse()).mul(square);
  const asymptotic = z.log().sub(inverse.mul(0.5)).sub(series);
  const direct = small.where(asymptotic.sub(sum), asymptotic);
  const value = reflected.where(direct.sub(cotangent(x).mul(Math.PI)), direct);
  return isPole(x).where(x.eq(0).where(x.reciprocal().neg(), NaN), value);
}

/** Coefficients, highest first, of the n-th derivative of cot as a polynomial in cot: `p' -> -(1 + c^2) p'`. */
function cotangentDerivative(n: number): number[] {
  let p = [0, 1];
  for (let k = 0; k < n; k++) {
    const slope = p.slice(1).map((c, i) => c * (i + 1));
    const next = new Array<number>(slope.length + 2).fill(0);
    slope.forEach((c, i) => {
      next[i] -= c;
      next[i + 2] -= c;
    });
    p = next;
  }
  return p.reverse();
}

/**
 * `sum over k >= 0 of (x + k)^-s` for x >= 1/2 and a whole s >= 2: sixteen terms, the rest by Euler and Maclaurin's formula (Olver, 8.1.2), as are
 * 23.2.7 and 6.4.11.
 */
function wholeZeta(s: number, x: Tensor): Tensor {
  const head = 16;
  const direct = reciprocalPower(x.unsqueeze(-1).add(counts(head, x.device)), s).sum(-1);
  const z = x.add(head), inverse = z.reciprocal();
  let rising = s, factorial = 2;
  const terms = bernoulli.map((b, i) => {
    const c = b * rising / factorial;
    rising *= (s + 2 * i + 1) * (s + 2 * i + 2);
    factorial *= (2 * i + 3) * (2 * i + 4);
    return c;
  });
  const series = polynomial(inverse.mul(inverse), terms.reverse()).mul(inverse);
  const rest = z.div(s - 1).add(0.5).add(series).mul(reciprocalPower(z, s));
  return direct.add(rest);
}

/** The n-th derivative of digamma for n >= 1 (6.4.10), reflected below 1/2 (6.4.7). */
export function polygamma(n: number, x: Tensor): Tensor {
  const reflected = x.lt(0.5), y = reflected.where(x.neg().add(1), x);
  const sign = n % 2 === 1 ? 1 : -1;
  let factorial = 1;
  for (let k = 2; k <= n; k++) factorial *= k;
  const size = wholeZeta(n + 1, y).mul(factorial);
  const turned = polynomial(cotangent(x), cotangentDerivative(n)).mul(Math.PI ** (n + 1));
  const value = reflected.where(size.neg().sub(turned), size.mul(sign));
  return isPole(x).where(sign * Infinity, x.eq(Infinity).where(0, value));
}

/** Hurwitz's zeta function (Olver, 8.1.2): 32 terms and a remainder. NaN for s < 1, for q < 0 with a fractional s, and for q < -23. */
export function zeta(s: Tensor, q: Tensor): Tensor {
  const head = 32;
  const terms = q.unsqueeze(-1).add(counts(head, q.device));
  const direct = terms.pow(s.neg().unsqueeze(-1)).sum(-1);
  // Nothing of the remainder is left for larger exponents, but infinities would cancel in it.
  const t = s.minimum(1e4);
  const z = q.add(head), inverse = z.reciprocal(), square = inverse.mul(inverse);
  let rising = t.mul(inverse), factorial = 2;
  let rest = z.div(t.sub(1)).add(0.5);
  bernoulli.slice(0, 6).forEach((b, i) => {
    rest = rest.add(rising.mul(b / factorial));
    rising = rising.mul(t.add(2 * i + 1)).mul(t.add(2 * i + 2)).mul(square);
    factorial *= (2 * i + 3) * (2 * i + 4);
  });
  const value = isPole(q).where(Infinity, direct.add(rest.mul(z.pow(t.neg()))));
  const out = q.lt(-23).logicalAnd(isPole(q).logicalNot()).logicalOr(s.lt(1)).where(NaN, value);
  return s.eq(1).where(Infinity, out);
}

// Beyond exp(-40) nothing of an integrand counts.
const DECAY = 40;

/**
 * P(a, x) for x <= a + 1 and Q(a, x) above, the smaller ones of each pair, for positive and finite operands: their power x^a exp(-x) / Gamma(a) taken out,
 * what is left is `integral of exp(x u) (1 - u)^(a + 1) over [0, 1]` (13.2.1 with 6.5.12, a raised by two so that the integrand ends smoothly) and
 * `integral of exp(-x u) (1 + u)^(a - 1) over [0, infinity)` (6.5.3), cut where they have decayed, by a rule of 48 points.
 */
function incomplete(a: Tensor, x: Tensor): { lower: Tensor; value: Tensor } {
  const lower = x.le(a.add(1));
  const sign = lower.where(1, -1).to("float64");
  const exponent = lower.where(a.add(1), a.sub(1));
  // The integrand stays below exp(-slope u - bend u^2), the upper one below exp(-slope u - bend u^2 / (1 + u)).
  const positive = exponent.maximum(0), bend = positive.mul(0.5);
  const slope = lower.where(positive.sub(x), x.sub(positive));
  const linear = lower.where(slope, slope.sub(DECAY)), square = lower.where(bend, bend.add(slope));
  const root = linear.mul(linear).add(square.mul(4 * DECAY)).sqrt();
  const end = linear.add(root).reciprocal().mul(2 * DECAY);
  const reach = lower.where(end.minimum(1), end);
  // u = reach (1 - w^2) takes the edge off (1 - u)^(a + 1) at u = 1.
  const nodes = legendreNodes.map((w) => 1 - w * w);
  const weights = legendreWeights.map((c, i) => c * 2 * legendreNodes[i]);
  const wide = (t: Tensor) => t.unsqueeze(-1);
  const u = wide(reach).mul(row(nodes, a.device));
  const log = u.mul(wide(sign)).neg().log1p().mul(wide(exponent));
  const integrand = u.mul(wide(sign.mul(x))).add(log).exp();
  const integral = integrand.mul(row(weights, a.device)).sum(-1).mul(reach);
  // The sum of x^k / ((a + 1) ... (a + k)): two terms and the integral.
  const series = integral.mul(x).add(1).mul(x).div(a.add(1)).add(1);
  return { lower, value: densityAt(a, x).mul(lower.where(series, integral.mul(a))) };
}

/** `x^a exp(-x) / Gamma(a + 1)`; for a large `a` from the distance of x to a (Stirling's series taken apart), since the plain logarithms cancel. */
function densityAt(a: Tensor, x: Tensor): Tensor {
  const large = a.gt(30), inverse = large.where(a, 30).reciprocal();
  const terms = stirlingTerms.slice(-5);
  const series = polynomial(inverse.mul(inverse), terms).mul(inverse);
  const off = x.sub(a).mul(inverse);
  const far = off.log1p().sub(off).mul(a).sub(a.mul(2 * Math.PI).log().mul(0.5)).sub(series);
  const near = a.mul(x.log()).sub(x).sub(lgamma(a.add(1)));
  return large.where(far, near).exp();
}

/** P(a, x) (`upper` false) or Q(a, x) = 1 - P(a, x), the regularised incomplete gamma functions. */
export function incompleteGamma(a: Tensor, x: Tensor, upper: boolean): Tensor {
  const usual = a.gt(0).logicalAnd(x.gt(0)).logicalAnd(a.lt(Infinity)).logicalAnd(x.lt(Infinity));
  const parts = incomplete(usual.where(a, 1), usual.where(x, 1));
  const rest = parts.value.neg().add(1);
  const exact = upper ? parts.lower.where(rest, parts.value) : parts.lower.where(parts.value, rest);
  // Above 1e15 the sums lose their digits; there the distribution is normal to 3e-8.
  const normal = x.sub(a).div(a.mul(2).sqrt()).erf().mul(upper ? -0.5 : 0.5).add(0.5);
  const direct = a.gt(1e15).where(normal, exact);
  const [none, all] = upper ? [1, 0] : [0, 1];
  // What is left: a = 0 gives P = 1, x = 0 gives P = 0, the infinite ones likewise; both at once, negative ones and NaN give NaN.
  const degenerate = a.eq(0).logicalOr(x.eq(Infinity)), empty = x.eq(0).logicalOr(a.eq(Infinity));
  const valid = a.ge(0).logicalAnd(x.ge(0)).logicalAnd(degenerate.logicalAnd(empty).logicalNot());
  return usual.where(direct, valid.where(degenerate.where(all, none), NaN));
}
