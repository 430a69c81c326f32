/** Elementary functions: exponentials, logarithms, trigonometric and hyperbolic functions and their inverses. */
import { isFloat } from "../dtype.ts";
import { inWide, inWide2 } from "./align.ts";
import { powerOf } from "./arithmetic.ts";
import type { Numeric } from "./base.ts";
import { ComparisonTensor } from "./comparison.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Elementary functions. Integers give float32; 16-bit floats are computed in float32 and rounded once. Composites are arranged so that nothing
 * cancels, and give their own gradients.
 */
export abstract class ElementaryTensor extends ComparisonTensor {
  /**
   * `log(1 + this)`, accurate near 0: with u = 1 + x rounded, `log(u) * x / (u - 1)` cancels the rounding of u (Kahan's form, in
   * Goldberg, "What every computer scientist should know about floating-point arithmetic", theorem 4).
   */
  log1p(): Tensor {
    return ruled(this.self, logOnePlus, (g, _, x) => g.div(x.add(1)));
  }
  /** `exp(this) - 1`, accurate near 0: `tanh(x/2) * (exp(x) + 1)`. */
  expm1(): Tensor {
    return ruled(this.self, (x) => {
      const e = x.exp();
      return x.abs().lt(0.5).where(x.mul(0.5).tanh().mul(e.add(1)), e.sub(1));
    }, (g, y) => g.mul(y.add(1)));
  }
  /** 2 to the power of this. */
  exp2(): Tensor {
    return ruled(this.self, (x) => powerOf(2, x), (g, y) => g.mul(y).mul(Math.LN2));
  }
  /** `1 / (1 + exp(-this))`. */
  override sigmoid(): Tensor {
    return ruled(
      this.self,
      (x) => x.neg().exp().add(1).reciprocal(),
      (g, y) => g.mul(y).mul(y.neg().add(1)),
    );
  }
  /** `log(this / (1 - this))`; with `eps` this is limited to `[eps, 1 - eps]` first, and no gradient flows outside. */
  logit(eps?: number | null): Tensor {
    return inWide(this.self, (x) => {
      const z = eps === undefined || eps === null ? x : x.clamp(eps, 1 - eps);
      return z.div(z.neg().add(1)).log().withGradient(
        [z],
        (g) => {
          const slope = g.div(z.mul(z.neg().add(1)));
          return [z.ge(0).logicalAnd(z.le(1)).where(slope, NaN)];
        },
      );
    });
  }
  /** `log(exp(this) + exp(x))` without overflow. */
  logaddexp(x: Numeric): Tensor {
    return inWide2(
      this.self,
      x,
      "add",
      (a, b) =>
        addedLogs(a, b, (d) => d.neg().exp().log1p()).withGradient([a, b], (g) => [
          g.div(b.sub(a).exp().add(1)),
          g.div(a.sub(b).exp().add(1)),
        ]),
    );
  }
  /** `log2(2 ** this + 2 ** x)` without overflow. */
  logaddexp2(x: Numeric): Tensor {
    return inWide2(
      this.self,
      x,
      "add",
      (a, b) =>
        addedLogs(a, b, (d) => d.neg().exp2().log1p().mul(Math.LOG2E)).withGradient([a, b], (g) => [
          g.div(b.sub(a).exp2().add(1)),
          g.div(a.sub(b).exp2().add(1)),
        ]),
    );
  }
  /** `this * log(x)`, 0 where this is 0 and `x` no NaN. */
  xlogy(x: Numeric): Tensor {
    return inWide2(this.self, x, "multiply", (a, b) => {
      const zero = a.eq(0).logicalAnd(b.isnan().logicalNot());
      const flat = a.eq(0).logicalAnd(b.le(0));
      return zero.where(0, a.mul(b.log())).withGradient([a, b], (g) => [
        flat.where(0, g.xlogy(b)),
        g.mul(a).div(b),
      ]);
    });
  }

  /** Tangent of radians. */
  tan(): Tensor {
    return ruled(this.self, (x) => x.sin().div(x.cos()), (g, y) => g.mul(y.mul(y).add(1)));
  }
  /** Arc sine in radians; NaN outside [-1, 1]. */
  asin(): Tensor {
    return ruled(
      this.self,
      (x) => arctangent(x.div(complement(x).sqrt().add(1))).mul(2),
      (g, _, x) => g.mul(complement(x).rsqrt()),
    );
  }
  /** Arc cosine in radians; NaN outside [-1, 1]. */
  acos(): Tensor {
    return ruled(
      this.self,
      (x) => arctangent(x.neg().add(1).div(x.add(1)).sqrt()).mul(2),
      (g, _, x) => g.mul(complement(x).rsqrt()).neg(),
    );
  }
  /** Arc tangent in radians. */
  atan(): Tensor {
    return ruled(this.self, arctangent, (g, _, x) => g.div(x.mul(x).add(1)));
  }
  /** Angle of the point (x, this) in radians, in [-pi, pi]. */
  atan2(x: Numeric): Tensor {
    return inWide2(
      this.self,
      x,
      "take the angle of",
      (a, b) =>
        angle(a, b).withGradient([a, b], (g) => {
          const square = a.mul(a).add(b.mul(b)), r = square.eq(0).where(0, g.div(square));
          return [r.mul(b), r.mul(a).neg()];
        }),
    );
  }
  /** `sin(pi this) / (pi this)`, 1 at 0. */
  sinc(): Tensor {
    return ruled(this.self, (x) => {
      const t = x.mul(Math.PI), zero = x.eq(0);
      return zero.where(1, t.sin().div(zero.where(1, t)));
    }, (g, _, x) => {
      const t = x.mul(Math.PI), square = t.mul(x), zero = square.eq(0);
      const slope = t.mul(t.cos()).sub(t.sin()).div(zero.where(1, square));
      return zero.where(0, g.mul(slope));
    });
  }

  /** Hyperbolic sine. */
  sinh(): Tensor {
    return ruled(this.self, (x) => {
      const t = x.mul(0.5).tanh(), small = t.mul(2).div(t.mul(t).neg().add(1));
      const [grow, fall] = halves(x);
      return x.abs().lt(1).where(small, grow.sub(fall));
    }, (g, _, x) => g.mul(x.cosh()));
  }
  /** Hyperbolic cosine. */
  cosh(): Tensor {
    return ruled(this.self, (x) => {
      const [grow, fall] = halves(x);
      return grow.add(fall);
    }, (g, _, x) => g.mul(x.sinh()));
  }
  /** Inverse hyperbolic sine. */
  asinh(): Tensor {
    return ruled(this.self, (x) => {
      const a = x.abs(), square = a.mul(a);
      const near = logOnePlus(a.add(square.div(square.add(1).sqrt().add(1))));
      const y = a.gt(FAR).where(a.log().add(Math.LN2), near);
      return x.lt(0).where(y.neg(), y);
    }, (g, _, x) => g.mul(x.mul(x).add(1).rsqrt()));
  }
  /** Inverse hyperbolic cosine; NaN below 1. */
  acosh(): Tensor {
    return ruled(this.self, (x) => {
      const t = x.sub(1), near = logOnePlus(t.add(t.mul(t.add(2)).sqrt()));
      const y = x.gt(FAR).where(x.log().add(Math.LN2), near);
      return x.lt(1).where(NaN, y);
    }, (g, _, x) => g.mul(x.sub(1).mul(x.add(1)).rsqrt()));
  }
  /** Inverse hyperbolic tangent; NaN outside [-1, 1]. */
  atanh(): Tensor {
    return ruled(this.self, (x) => {
      const a = x.abs(), y = logOnePlus(a.mul(2).div(a.neg().add(1))).mul(0.5);
      return x.lt(0).where(y.neg(), y);
    }, (g, _, x) => g.div(complement(x)));
  }

  /** Radians of degrees. */
  deg2rad(): Tensor {
    return this.mul(Math.PI / 180);
  }
  /** Degrees of radians. */
  rad2deg(): Tensor {
    return this.mul(180 / Math.PI);
  }
  /**
   * This tensor.
   * @throws {TypeError} When it is bool
   */
  positive(): Tensor {
    if (this.dtype === "bool") throw new TypeError("Cannot take +x of bool tensors");
    return this.self;
  }
  /** Casts to float16. */
  half(): Tensor {
    return this.self.to("float16");
  }
  /** Casts to bfloat16. */
  bfloat16(): Tensor {
    return this.self.to("bfloat16");
  }
  /** Casts to uint8. */
  byte(): Tensor {
    return this.self.to("uint8");
  }
  /** This tensor: no dtype is complex. */
  real(): Tensor {
    return this.self;
  }
  /** This tensor: no dtype is complex. */
  conj(): Tensor {
    return this.self;
  }
  /** Whether the dtype is a float. */
  isFloatingPoint(): boolean {
    return isFloat(this.dtype);
  }
}

/** Beyond this, squares swallow 1 in float32 and float64 alike, and do not overflow below. */
const FAR = 1e9;

/** A function of a float tensor with its gradient, both in at least float32. */
function ruled(
  x: Tensor,
  f: (x: Tensor) => Tensor,
  slope: (g: Tensor, y: Tensor, x: Tensor) => Tensor,
): Tensor {
  return inWide(x, (x) => f(x).withGradient([x], (g, y) => [slope(g, y, x)]));
}

/** `1 - x ** 2` without cancellation. */
const complement = (x: Tensor): Tensor => x.neg().add(1).mul(x.add(1));

/** `exp(x) / 2` and `exp(-x) / 2`, which do not overflow before the hyperbolic functions do. */
function halves(x: Tensor): [Tensor, Tensor] {
  const h = x.mul(0.5).exp(), r = x.mul(-0.5).exp();
  return [h.mul(0.5).mul(h), r.mul(0.5).mul(r)];
}

/** Kahan's `log(1 + x)`. */
function logOnePlus(x: Tensor): Tensor {
  const u = x.add(1), d = u.sub(1), exact = d.eq(0);
  const finite = u.log().mul(x.div(exact.where(1, d)));
  return exact.where(x, u.eq(Infinity).where(Infinity, finite));
}

/** The larger plus what the difference's function adds; equal infinities keep themselves. */
function addedLogs(a: Tensor, b: Tensor, extra: (distance: Tensor) => Tensor): Tensor {
  const same = a.eq(b).logicalAnd(a.isinf());
  return same.where(a, a.maximum(b).add(extra(same.where(0, a.sub(b)).abs())));
}

const TAN_PI_8 = Math.tan(Math.PI / 8), TAN_3PI_8 = Math.tan(3 * Math.PI / 8);

/**
 * Arc tangent: the argument is brought to |t| <= tan(pi/8), where a minimax polynomial has float32 accuracy (coefficients of atanf in S.
 * Moshier's Cephes library). In float64 one step of `atan t = p + atan((t - tan p) / (1 + t tan p))` squares away the rest.
 */
function arctangent(x: Tensor): Tensor {
  const size = x.abs(), steep = size.gt(TAN_3PI_8), middle = size.gt(TAN_PI_8);
  const sign = x.lt(0).where(-1, 1).to(x.dtype);
  const above = steep.where(sign.neg(), middle.where(x.sub(sign), x));
  const below = steep.where(size, middle.where(size.add(1), 1));
  const t = above.div(below), z = t.mul(t);
  let p = z.mul(8.05374449538e-2).sub(1.38776856032e-1);
  p = p.mul(z).add(1.99777106478e-1).mul(z).sub(3.33329491539e-1).mul(z).mul(t).add(t);
  if (x.dtype === "float64") {
    const s = p.sin(), c = p.cos();
    p = p.add(t.mul(c).sub(s).div(t.mul(s).add(c)));
  }
  const turned = sign.mul(steep.where(2, 1).to(x.dtype)).mul(Math.PI / 4).add(p);
  return middle.where(turned, p);
}

/** The angle of (b, a), from the ratio of the smaller to the larger. */
function angle(a: Tensor, b: Tensor): Tensor {
  const p = a.abs(), q = b.abs(), long = p.maximum(q), short = p.minimum(q);
  const ratio = long.eq(short).where(long.eq(0).where(0, 1), short.div(long)).to(a.dtype);
  const r = arctangent(long.isnan().where(long, ratio));
  const first = p.gt(q).where(r.neg().add(Math.PI / 2), r);
  const upper = b.signbit().where(first.neg().add(Math.PI), first);
  return a.signbit().where(upper.neg(), upper);
}
