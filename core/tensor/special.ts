/** Special functions: gamma, error functions, Bessel. Computed in float64 and rounded once, so float32 results are right to rounding. */
import type { Numeric } from "./base.ts";
import { PolynomialTensor } from "./polynomials.ts";
import * as bessel from "./special/bessel.ts";
import * as error from "./special/error.ts";
import * as gamma from "./special/gamma.ts";
import { counts, inDouble } from "./special/series.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Special functions of every element, computed in float64 whatever the dtype; integers give float32. In float64 itself they hold to about 1e-12,
 * relative where the function has no zeros, and to a few units of 1e-12 absolute near them.
 */
export abstract class SpecialTensor extends PolynomialTensor {
  /** `1 - erf(this)`, accurate in its tail. */
  erfc(): Tensor {
    return inDouble("erfc", [this.self], error.erfc, [
      (_, x) => x.square().neg().exp().mul(-2 / Math.sqrt(Math.PI)),
    ]);
  }
  /** `exp(this^2) * erfc(this)`. */
  erfcx(): Tensor {
    return inDouble("erfcx", [this.self], error.erfcx, [
      (y, x) => x.mul(y).mul(2).sub(2 / Math.sqrt(Math.PI)),
    ]);
  }
  /** Inverse of the error function; NaN outside [-1, 1]. */
  erfinv(): Tensor {
    return inDouble("erfinv", [this.self], error.erfinv, [
      (y) => y.square().exp().mul(Math.sqrt(Math.PI) / 2),
    ]);
  }
  /** Normal distribution function. */
  ndtr(): Tensor {
    return inDouble("ndtr", [this.self], (x) => error.erfc(x.mul(-Math.SQRT1_2)).mul(0.5), [
      (_, x) => x.square().mul(-0.5).exp().mul(1 / Math.sqrt(2 * Math.PI)),
    ]);
  }
  /** Inverse of the normal distribution function; NaN outside [0, 1]. */
  ndtri(): Tensor {
    return inDouble("ndtri", [this.self], error.ndtri, [
      (y) => y.square().mul(0.5).exp().mul(Math.sqrt(2 * Math.PI)),
    ]);
  }
  /** Logarithm of the normal distribution function, accurate in both tails. */
  logNdtr(): Tensor {
    return inDouble("logNdtr", [this.self], error.logNdtr, [
      (_, x) => x.mul(-Math.SQRT1_2).erfcx().reciprocal().mul(Math.sqrt(2 / Math.PI)),
    ]);
  }

  /** `log(|Gamma(this)|)`; Infinity at 0 and negative whole numbers. */
  lgamma(): Tensor {
    return inDouble("lgamma", [this.self], gamma.lgamma, [(_, x) => x.digamma()]);
  }
  /** Derivative of `lgamma`; NaN at negative whole numbers, an infinity at 0. */
  digamma(): Tensor {
    return inDouble("digamma", [this.self], gamma.digamma, [(_, x) => x.polygamma(1)]);
  }
  /**
   * The n-th derivative of `digamma`.
   * @throws {RangeError} When `n` is not a whole number from 0 to 160
   */
  polygamma(n: number): Tensor {
    if (!Number.isInteger(n) || n < 0 || n > 160) {
      throw new RangeError(`Cannot take polygamma of order ${n}: it must be whole, from 0 to 160`);
    }
    if (n === 0) return this.digamma();
    return inDouble("polygamma", [this.self], (x) => gamma.polygamma(n, x), [
      (_, x) => x.polygamma(n + 1),
    ]);
  }
  /**
   * Logarithm of the multivariate gamma function of dimension `p`, for elements above `(p - 1) / 2`.
   * @throws {RangeError} When `p` is not a positive whole number
   */
  mvlgamma(p: number): Tensor {
    if (!Number.isInteger(p) || p < 1) {
      throw new RangeError(`Cannot take mvlgamma of dimension ${p}: it must be whole and positive`);
    }
    return inDouble("mvlgamma", [this.self], (x) => {
      const each = x.unsqueeze(-1).sub(counts(p, x.device).mul(0.5));
      return gamma.lgamma(each).sum(-1).add(p * (p - 1) / 4 * Math.log(Math.PI));
    }, [(_, x) => x.unsqueeze(-1).sub(counts(p, x.device).mul(0.5).to(x.dtype)).digamma().sum(-1)]);
  }
  /**
   * Regularised lower incomplete gamma function P(this, x); NaN for negative operands. It has a gradient by `x` only.
   * @throws {TypeError} When shapes do not broadcast; in the backward pass, when this tensor requires a gradient
   */
  igamma(x: Numeric): Tensor {
    return inDouble("igamma", [this.self, x], (a, t) => gamma.incompleteGamma(a, t, false), [
      null,
      (_, a, t) => gammaDensity(a, t),
    ]);
  }
  /**
   * Regularised upper incomplete gamma function `1 - P(this, x)`; NaN for negative operands. It has a gradient by `x` only.
   * @throws {TypeError} When shapes do not broadcast; in the backward pass, when this tensor requires a gradient
   */
  igammac(x: Numeric): Tensor {
    return inDouble("igammac", [this.self, x], (a, t) => gamma.incompleteGamma(a, t, true), [
      null,
      (_, a, t) => gammaDensity(a, t).neg(),
    ]);
  }
  /**
   * Hurwitz's zeta function, the sum of `(q + k)^-this` over k >= 0: Infinity at 1, NaN below. For whole exponents `q` may be negative, down to -23;
   * further down the result is NaN. It has a gradient by `q` only.
   * @throws {TypeError} When shapes do not broadcast; in the backward pass, when this tensor requires a gradient
   */
  zeta(q: Numeric): Tensor {
    return inDouble("zeta", [this.self, q], gamma.zeta, [
      null,
      (_, s, x) => s.neg().mul(s.add(1).zeta(x)),
    ]);
  }
  /** `-this * log(this)`; 0 at 0, -Infinity below. */
  entr(): Tensor {
    return inDouble("entr", [this.self], (x) => {
      const inside = x.mul(x.log()).neg();
      return x.eq(0).where(0, x.lt(0).where(-Infinity, inside));
    }, [(_, x) => x.log().add(1).neg()]);
  }
  /** `this * log1p(y)`; 0 where this is 0, unless `y` is NaN. */
  xlog1py(y: Numeric): Tensor {
    return inDouble("xlog1py", [this.self, y], (a, b) => {
      return a.eq(0).logicalAnd(b.isnan().logicalNot()).where(0, a.mul(b.log1p()));
    }, [
      (_, a, b) => a.eq(0).logicalAnd(b.le(-1)).where(0, b.log1p()),
      (_, a, b) => a.div(b.add(1)),
    ]);
  }

  /** Modified Bessel function of the first kind, order 0. */
  i0(): Tensor {
    return inDouble("i0", [this.self], (x) => bessel.besselI(x, 0, false), [(_, x) => x.i1()]);
  }
  /** `exp(-|this|) * i0(this)`. */
  i0e(): Tensor {
    return inDouble("i0e", [this.self], (x) => bessel.besselI(x, 0, true), [
      (y, x) => x.i1e().sub(x.sign().mul(y)),
    ]);
  }
  /** Modified Bessel function of the first kind, order 1. */
  i1(): Tensor {
    return inDouble("i1", [this.self], (x) => bessel.besselI(x, 1, false), [
      (y, x) => x.eq(0).where(0.5, x.i0().sub(y.div(x))),
    ]);
  }
  /** `exp(-|this|) * i1(this)`. */
  i1e(): Tensor {
    return inDouble("i1e", [this.self], (x) => bessel.besselI(x, 1, true), [
      (y, x) => x.eq(0).where(0.5, x.i0e().sub(y.mul(x.sign().add(x.reciprocal())))),
    ]);
  }
  /** Modified Bessel function of the first kind, order 0; the same as `i0`. */
  modifiedBesselI0(): Tensor {
    return this.i0();
  }
  /** Modified Bessel function of the first kind, order 1; the same as `i1`. */
  modifiedBesselI1(): Tensor {
    return this.i1();
  }
  /** Modified Bessel function of the second kind, order 0; Infinity at 0, NaN below. */
  modifiedBesselK0(): Tensor {
    return inDouble("modifiedBesselK0", [this.self], (x) => bessel.besselK(x, 0, false), [
      (_, x) => x.modifiedBesselK1().neg(),
    ]);
  }
  /** Modified Bessel function of the second kind, order 1; Infinity at 0, NaN below. */
  modifiedBesselK1(): Tensor {
    return inDouble("modifiedBesselK1", [this.self], (x) => bessel.besselK(x, 1, false), [
      (y, x) => x.modifiedBesselK0().add(y.div(x)).neg(),
    ]);
  }
  /** `exp(this) * modifiedBesselK0(this)`. */
  scaledModifiedBesselK0(): Tensor {
    return inDouble("scaledModifiedBesselK0", [this.self], (x) => bessel.besselK(x, 0, true), [
      (y, x) => y.sub(x.scaledModifiedBesselK1()),
    ]);
  }
  /** `exp(this) * modifiedBesselK1(this)`. */
  scaledModifiedBesselK1(): Tensor {
    return inDouble("scaledModifiedBesselK1", [this.self], (x) => bessel.besselK(x, 1, true), [
      (y, x) => y.sub(y.div(x)).sub(x.scaledModifiedBesselK0()),
    ]);
  }
  /** Bessel function of the first kind, order 0. */
  besselJ0(): Tensor {
    return inDouble("besselJ0", [this.self], (x) => bessel.besselJ(x, 0), [
      (_, x) => x.besselJ1().neg(),
    ]);
  }
  /** Bessel function of the first kind, order 1. */
  besselJ1(): Tensor {
    return inDouble("besselJ1", [this.self], (x) => bessel.besselJ(x, 1), [
      (y, x) => x.eq(0).where(0.5, x.besselJ0().sub(y.div(x))),
    ]);
  }
  /** Bessel function of the second kind, order 0; -Infinity at 0, NaN below. */
  besselY0(): Tensor {
    return inDouble("besselY0", [this.self], (x) => bessel.besselY(x, 0), [
      (_, x) => x.besselY1().neg(),
    ]);
  }
  /** Bessel function of the second kind, order 1; -Infinity at 0, NaN below. */
  besselY1(): Tensor {
    return inDouble("besselY1", [this.self], (x) => bessel.besselY(x, 1), [
      (y, x) => x.besselY0().sub(y.div(x)),
    ]);
  }
  /** Spherical Bessel function of the first kind, order 0: `sin(this) / this`. */
  sphericalBesselJ0(): Tensor {
    return inDouble("sphericalBesselJ0", [this.self], bessel.sphericalBesselJ0);
  }
  /** Airy's function Ai. */
  airyAi(): Tensor {
    return inDouble("airyAi", [this.self], bessel.airyAi);
  }
}

/** Derivative of P(a, x) by x: `x^(a - 1) exp(-x) / Gamma(a)`. */
function gammaDensity(a: Tensor, x: Tensor): Tensor {
  const power = a.eq(1).where(0, a.sub(1).mul(x.log()));
  return power.sub(x).sub(a.lgamma()).exp();
}
