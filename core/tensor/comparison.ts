/** Comparison with tolerances, classification of floats, and floats taken apart. */
import { type DType, isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import { sameShape } from "../shape.ts";
import { aligned, scalarBeside, wideOf } from "./align.ts";
import { ArithmeticTensor, powerOf } from "./arithmetic.ts";
import { type Numeric, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

/** How near two values must be: `|a - b| <= atol + rtol * |b|`. */
export interface CloseOptions {
  /** Relative tolerance, 1e-5 by default. */
  readonly rtol?: number;
  /** Absolute tolerance, 1e-8 by default. */
  readonly atol?: number;
  /** Whether NaN equals NaN; false by default. */
  readonly equalNan?: boolean;
}

/** Replacements of {@linkcode ComparisonTensor.nanToNum}. */
export interface NanToNumOptions {
  /** For NaN; 0 by default. */
  readonly nan?: number | null;
  /** For infinity; the greatest number of the dtype by default. */
  readonly posinf?: number | null;
  /** For minus infinity; the least number of the dtype by default. */
  readonly neginf?: number | null;
}

/** What the bits of a float dtype hold. */
interface FloatLayout {
  /** Greatest finite number. */
  readonly max: number;
  /** Bits of the significand, the hidden one included. */
  readonly digits: number;
  /** Exponent of the least positive number, which is 2 to this power. */
  readonly least: number;
}

const layouts: Readonly<Partial<Record<DType, FloatLayout>>> = {
  float64: { max: Number.MAX_VALUE, digits: 53, least: -1074 },
  float32: { max: 3.4028234663852886e38, digits: 24, least: -149 },
  float16: { max: 65504, digits: 11, least: -24 },
  bfloat16: { max: 3.3895313892515355e38, digits: 8, least: -133 },
};

/** Comparison and classification. */
export abstract class ComparisonTensor extends ArithmeticTensor {
  /** True where `|this - x| <= atol + rtol * |x|`, or both are equal. */
  isclose(x: Tensor, options: CloseOptions = {}): Tensor {
    const { rtol = 1e-5, atol = 1e-8, equalNan = false } = options;
    if (!(rtol >= 0) || !(atol >= 0)) {
      throw new RangeError(
        `Cannot compare with rtol ${rtol} and atol ${atol}: both must be at least 0`,
      );
    }
    const [a, b] = aligned(this.self, x, "compare").map((t) => t.dtype === "bool" ? t.int() : t);
    const error = a.sub(b).abs();
    const near = error.le(b.mul(rtol).abs().add(atol)).logicalAnd(error.isfinite());
    const same = a.eq(b).logicalOr(near);
    return equalNan ? same.logicalOr(a.isnan().logicalAnd(b.isnan())) : same;
  }
  /** Whether {@linkcode ComparisonTensor.isclose} holds everywhere; reads the values. */
  allclose(x: Tensor, options: CloseOptions = {}): boolean {
    return this.isclose(x, options).all().item() !== 0;
  }
  /** Whether shape and all elements are equal; reads the values. */
  equal(x: Tensor): boolean {
    return sameShape(this.shape, x.shape) && this.eq(x).all().item() !== 0;
  }
  /** True where an element is one of those of `test`; with `invert` where it is none. */
  isin(test: Numeric | readonly number[], options: { invert?: boolean } = {}): Tensor {
    const list = typeof test === "number" ? [test] : test;
    const hit = Array.isArray(list)
      ? (list as number[]).map((x) => this.eq(x)).reduce(
        (a, b) => a.logicalOr(b),
        wrap(constNode(0, this.shape, "bool", this.device)),
      )
      : this.self.unsqueeze(-1).eq((list as Tensor).flatten()).any(-1);
    return options.invert ? hit.logicalNot() : hit;
  }

  /** True where infinity. */
  isposinf(): Tensor {
    return this.eq(Infinity);
  }
  /** True where minus infinity. */
  isneginf(): Tensor {
    return this.eq(-Infinity);
  }
  /** True everywhere: no dtype is complex. */
  isreal(): Tensor {
    return wrap(constNode(1, this.shape, "bool", this.device));
  }
  /** True where negative, -0 included. The sign of a NaN is not seen. */
  signbit(): Tensor {
    if (this.dtype === "bool" || this.dtype === "uint8") {
      return wrap(constNode(0, this.shape, "bool", this.device));
    }
    if (!isFloat(this.dtype)) return this.lt(0);
    // Only the reciprocal tells -0 from 0.
    return this.eq(0).where(scalarBeside(1, this.self).div(this.self), this.self).lt(0);
  }
  /** The size of this tensor with the sign of `x`; the gradient at 0 is 0. */
  copysign(x: Numeric): Tensor {
    const [a, b] = aligned(this.self, x, "copy the sign of", { float: true });
    const size = a.abs();
    return b.detach().signbit().where(size.neg(), size);
  }
  /** Same as `sign`, which differs only for complex numbers. */
  sgn(): Tensor {
    return this.sign();
  }
  /** 0 below 0, 1 above, `values` at 0. */
  heaviside(values: Numeric): Tensor {
    const [a, b] = aligned(this.self, values, "choose between");
    return a.eq(0).where(b, a.gt(0).to(a.dtype));
  }
  /** Angle in the complex plane, in radians: pi where negative, 0 elsewhere, NaN for NaN. */
  angle(): Tensor {
    const x = isFloat(this.dtype) ? this.self.detach() : this.self.float();
    return x.isnan().where(x, x.lt(0).to(x.dtype).mul(Math.PI));
  }
  /** Replaces NaN and the infinities; no gradient flows there. */
  nanToNum(options: NanToNumOptions = {}): Tensor {
    const layout = layouts[this.dtype];
    if (layout === undefined) return this.self;
    const { nan, posinf, neginf } = options, x = this.self;
    const infinite = x.isposinf().where(
      posinf ?? layout.max,
      x.isneginf().where(neginf ?? -layout.max, x),
    );
    return x.isnan().where(nan ?? 0, infinite);
  }

  /**
   * `mantissa * 2 ** exponent` with the mantissa's size in [0.5, 1), the exponent int32; 0, NaN and the infinities keep themselves with
   * exponent 0.
   * @throws {TypeError} When the dtype is no float
   */
  frexp(): { mantissa: Tensor; exponent: Tensor } {
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot take ${this.dtype} tensors apart: floats are needed`);
    }
    const x = this.self.to(wideOf(this.dtype)), n = binaryExponent(x.detach());
    return { mantissa: timesPower(x, n.neg()).to(this.dtype), exponent: n.int() };
  }
  /**
   * The next number of the dtype from this one towards `x`. The gradient is that of this tensor itself, 0 where both are equal.
   * @throws {TypeError} When the dtype is no float
   */
  nextafter(x: Numeric): Tensor {
    const [a, b] = aligned(this.self, x, "step between");
    const layout = layouts[a.dtype];
    if (layout === undefined) {
      throw new TypeError(`Cannot step between ${a.dtype} tensors: floats are needed`);
    }
    const w = wideOf(a.dtype), from = a.detach().to(w), to = b.detach().to(w);
    const up = to.gt(from), n = binaryExponent(from);
    // Below a power of two numbers lie twice as close.
    const inward = up.logicalXor(from.gt(0));
    const edge = timesPower(from, n.neg()).abs().eq(0.5).logicalAnd(inward);
    const step = n.sub(edge.to(w)).sub(layout.digits).clampMin(layout.least);
    const zero = from.eq(0),
      gap = timesPower(scalarBeside(1, from), zero.where(layout.least, step));
    const finite = from.add(up.where(gap, gap.neg()));
    // From infinity the next number is the greatest finite one.
    const moved = from.isinf().where(from.sign().mul(layout.max), finite);
    const out = from.eq(to).where(to, moved);
    const next = from.isnan().logicalOr(to.isnan()).where(from.add(to), out).to(a.dtype);
    return next.withGradient([a], (g) => [a.eq(b).where(0, g)]);
  }
}

/** The exponent `n` with `|x| = m * 2 ** n`, `0.5 <= m < 1`, as a float; 0 for 0, NaN and infinities. */
function binaryExponent(x: Tensor): Tensor {
  const usual = x.eq(0).logicalOr(x.isfinite().logicalNot()).logicalNot();
  const size = usual.where(x.abs(), 0.5);
  // The logarithm may be off by one beside powers of two.
  const guess = size.log().mul(Math.LOG2E).floor().add(1), m = timesPower(size, guess.neg());
  return guess.add(m.ge(1).to(x.dtype)).sub(m.lt(0.5).to(x.dtype));
}

/** `x * 2 ** n` for whole `n`, in two factors, since the power alone may overflow. */
function timesPower(x: Tensor, n: Tensor): Tensor {
  const half = n.mul(0.5).floor();
  return x.mul(powerOf(2, half)).mul(powerOf(2, n.sub(half)));
}
