/** Arithmetic beyond the primitives: quotients, remainders, powers, limits, mixtures. */
import { dtypes, isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import { aligned, floatOf, inWide2, scalarBeside } from "./align.ts";
import { type Numeric, TensorBase, wrap } from "./base.ts";
import { LinalgTensor } from "./linalg.ts";
import type { Tensor } from "./tensor.ts";

/** Limits of `clamp`; null and undefined mean none. */
export interface Limits {
  /** Least value. */
  readonly min?: Numeric | null;
  /** Greatest value. */
  readonly max?: Numeric | null;
}

/** How a quotient is rounded: not at all, toward 0, or down. */
export type RoundingMode = "trunc" | "floor" | null;

/** Arithmetic; binary operations broadcast and promote as PyTorch's do. */
export abstract class ArithmeticTensor extends LinalgTensor {
  /**
   * `this / x`; integers give float32. With a rounding mode integers stay integers, and no gradient flows. An integer by 0 gives 0.
   * @throws {RangeError} When the rounding mode is unknown
   */
  override div(x: Numeric, options: { roundingMode?: RoundingMode } = {}): Tensor {
    const { roundingMode = null } = options;
    if (roundingMode === null) return this.binary("div", x, "divide", { float: true });
    if (roundingMode === "floor") return this.floorDivide(x);
    if (roundingMode !== "trunc") {
      throw new RangeError(
        `Cannot divide with rounding mode ${roundingMode}: it must be trunc or floor`,
      );
    }
    return integral(this.self, x)
      ? integers(this.self).binary("div", x, "divide")
      : this.div(x).trunc();
  }
  /** Quotient rounded down, as Python's `//`; an integer by 0 gives 0. No gradient flows. */
  floorDivide(x: Numeric): Tensor {
    if (integral(this.self, x)) {
      const a = integers(this.self);
      return a.sub(a.remainder(x)).binary("div", x, "divide");
    }
    const [a, b] = aligned(this.self.detach(), x, "divide", { float: true });
    return floorQuotient(a, b.detach());
  }
  /** Remainder with the sign of this tensor, as C's `fmod`. */
  fmod(x: Numeric): Tensor {
    const [a, b] = aligned(this.self, x, "take the remainder of");
    if (!isFloat(a.dtype)) return signedRemainder(a, b);
    return signedRemainder(a, b).withGradient(
      [a, b],
      (g) => [g, g.mul(a.div(b).trunc()).neg()],
    );
  }
  /** `this - trunc(this)`. */
  frac(): Tensor {
    return this.sub(this.trunc());
  }
  /** `x - alpha * this`. */
  rsub(x: Numeric, options: { alpha?: number } = {}): Tensor {
    const { alpha = 1 } = options;
    return (alpha === 1 ? this.neg() : this.mul(-alpha)).add(x);
  }

  /**
   * `this` to the power `x`; small whole exponents are products. Integers to a power of integers stay integers (a negative exponent gives 0
   * unless the base is 1 or -1; of an exponent tensor the lowest 31 bits count).
   * @throws {RangeError} When integers are raised to a negative whole number
   */
  pow(x: Numeric): Tensor {
    if (integral(this.self, x)) return integerPower(this.self, x);
    if (x === 1) return this.self;
    if (x === 2) return this.mul(this.self);
    if (x === 3) return this.mul(this.self).mul(this.self);
    if (x === 0.5) return this.sqrt();
    if (x === -1) return this.reciprocal();
    return this.binary("pow", x, "raise");
  }
  /** `this` to the power `x` in float64. */
  floatPower(x: Numeric): Tensor {
    return this.self.double().pow(typeof x === "number" ? x : x.double());
  }

  /** The larger of two; a number wins against NaN. Where equal, the gradient goes to this tensor. */
  fmax(x: Numeric): Tensor {
    const [a, b] = aligned(this.self, x, "compare");
    return a.ge(b).logicalOr(b.isnan()).where(a, b);
  }
  /** The smaller of two; a number wins against NaN. Where equal, the gradient goes to this tensor. */
  fmin(x: Numeric): Tensor {
    const [a, b] = aligned(this.self, x, "compare");
    return a.le(b).logicalOr(b.isnan()).where(a, b);
  }
  /**
   * Limits values to `[min, max]`, numbers or tensors; the greatest wins where they cross. Takes `clamp(min, max)` or
   * `clamp({ min, max })`. The gradient passes at the limits.
   * @throws {TypeError} When neither limit is given
   */
  clamp(min?: Numeric | Limits | null, max?: Numeric | null): Tensor {
    const limits: Limits = typeof min === "object" && min !== null && !(min instanceof TensorBase)
      ? min
      : { min, max };
    const low = limits.min ?? undefined, high = limits.max ?? undefined;
    if (low === undefined && high === undefined) {
      throw new TypeError("Cannot clamp: give min, max or both");
    }
    let out = this.self;
    if (low !== undefined) out = out.clampMin(low);
    if (high !== undefined) out = out.clampMax(high);
    return out;
  }
  /** Values below `min` become `min`; NaN in either stays. */
  clampMin(min: Numeric): Tensor {
    const [a, b] = aligned(this.self, min, "limit");
    return beyond(a.lt(b), min).where(b, a).withGradient([a, b], (g) => [
      a.ge(b).where(g, 0),
      typeof min === "number" ? undefined : a.lt(b).where(g, 0),
    ]);
  }
  /** Values above `max` become `max`; NaN in either stays. */
  clampMax(max: Numeric): Tensor {
    const [a, b] = aligned(this.self, max, "limit");
    return beyond(a.gt(b), max).where(b, a).withGradient([a, b], (g) => [
      a.le(b).where(g, 0),
      typeof max === "number" ? undefined : a.gt(b).where(g, 0),
    ]);
  }

  /** `this + weight * (end - this)`, reckoned from the nearer end. */
  lerp(end: Tensor, weight: Numeric): Tensor {
    const a = this.self, span = end.sub(a);
    if (typeof weight === "number") {
      return weight < 0.5 ? a.add(span.mul(weight)) : end.sub(span.mul(1 - weight));
    }
    const far = span.mul(weight.neg().add(1));
    return weight.abs().lt(0.5).where(a.add(span.mul(weight)), end.sub(far));
  }
  /** `this + value * a * b`. */
  addcmul(a: Tensor, b: Tensor, options: { value?: number } = {}): Tensor {
    return this.add(a.mul(b), { alpha: options.value });
  }
  /** `this + value * a / b`. */
  addcdiv(a: Tensor, b: Tensor, options: { value?: number } = {}): Tensor {
    return this.add(a.div(b), { alpha: options.value });
  }
  /** `sqrt(this ** 2 + x ** 2)` without overflow. */
  hypot(x: Numeric): Tensor {
    return inWide2(this.self, x, "take the hypotenuse of", (a, b) => {
      const p = a.abs(), q = b.abs(), long = p.maximum(q), short = p.minimum(q);
      const ratio = long.eq(short).where(long.eq(0).where(0, 1), short.div(long));
      const finite = long.mul(ratio.mul(ratio).add(1).sqrt());
      const y = p.isinf().logicalOr(q.isinf()).where(Infinity, finite);
      return y.withGradient([a, b], (g, y) => [g.mul(a.div(y)), g.mul(b.div(y))]);
    });
  }
  /** `this * 2 ** x`. */
  ldexp(x: Numeric): Tensor {
    return this.mul(typeof x === "number" ? 2 ** x : x.exp2());
  }
  /** The values `value` in the shape and dtype of this tensor; a scalar tensor gets the gradient. */
  fill(value: Numeric): Tensor {
    if (typeof value === "number") {
      return wrap(constNode(value, this.shape, this.dtype, this.device));
    }
    if (value.ndim !== 0) {
      throw new TypeError(`Cannot fill with ${value.describe()}: a scalar is needed`);
    }
    return value.to(this.dtype).expand(this.shape);
  }

  /** Greatest common divisor of integers, by Euclid's algorithm; `gcd(0, 0)` is 0. */
  gcd(x: Numeric): Tensor {
    const [p, q] = aligned(this.self, x, "take the gcd of");
    const steps = divisionSteps[p.dtype];
    if (steps === undefined) {
      throw new TypeError(`Cannot take the gcd of ${p.dtype} tensors: integers are needed`);
    }
    let a = p.abs(), b = q.abs();
    for (let i = 0; i < steps; i++) [a, b] = [b.eq(0).where(a, b), a.remainder(b)];
    return a;
  }
  /** Least common multiple of integers; 0 where one is 0. */
  lcm(x: Numeric): Tensor {
    const [a, b] = aligned(this.self, x, "take the lcm of");
    return a.div(a.gcd(b), { roundingMode: "trunc" }).mul(b).abs();
  }
}

/** Divisions that Euclid's algorithm takes at most for numbers of a dtype (those of Fibonacci take most). */
const divisionSteps: Readonly<Record<string, number | undefined>> = {
  uint8: 13,
  int32: 46,
  int64: 91,
};

/** Whether both operands are integers or bool. */
function integral(a: Tensor, x: Numeric): boolean {
  return !isFloat(a.dtype) && (typeof x === "number" ? Number.isInteger(x) : !isFloat(x.dtype));
}

/** bool as int64. */
const integers = (a: Tensor): ArithmeticTensor => a.dtype === "bool" ? a.long() : a;

/** Where a limit takes the place of the value: beyond it, or where it is NaN. */
function beyond(out: Tensor, limit: Numeric): Tensor {
  if (typeof limit === "number") return Number.isNaN(limit) ? out.logicalOr(1) : out;
  return isFloat(limit.dtype) ? out.logicalOr(limit.isnan()) : out;
}

/** Remainder with the sign of `a`. */
function signedRemainder(a: Tensor, b: Tensor): Tensor {
  if (a.dtype === "uint8") return a.remainder(b);
  const r = a.abs().remainder(b.abs());
  return a.lt(0).where(r.neg(), r);
}

/** Quotient of floats rounded down: from the exact remainder, since a rounded quotient may already have reached the next number. */
function floorQuotient(a: Tensor, b: Tensor): Tensor {
  const r = signedRemainder(a, b);
  const crossing = r.ne(0).logicalAnd(r.lt(0).logicalXor(b.lt(0)));
  const q = a.sub(r).div(b).sub(crossing.to(a.dtype));
  return b.eq(0).where(a.div(b), q.round());
}

/** Product of the base's squares that the exponent's bits choose. */
function integerPower(a: Tensor, x: Numeric): Tensor {
  if (typeof x === "number") {
    if (x < 0) {
      throw new RangeError(`Cannot raise ${a.dtype} tensors to ${x}: cast to a float dtype first`);
    }
    const base = integers(a);
    if (x === 0) return base.fill(1);
    let square: Tensor = base as Tensor, out: Tensor | undefined;
    for (let rest = x; rest > 0; rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) out = out === undefined ? square : out.mul(square);
      if (rest > 1) square = square.mul(square);
    }
    return out!;
  }
  const [base, exponent] = aligned(integers(a) as Tensor, x, "raise");
  let square = base, out = base.fill(1);
  const bits = Math.min(31, 8 * dtypes[exponent.dtype].bytes);
  for (let i = 0; i < bits; i++) {
    const bit = exponent.bitwiseRightShift(i).bitwiseAnd(1).ne(0);
    out = out.mul(bit.where(square, 1));
    square = square.mul(square);
  }
  const vanishing = exponent.lt(0).logicalAnd(base.abs().ne(1));
  return vanishing.where(0, out);
}

/** `base ** x` for a number as base. */
export function powerOf(base: number, x: Tensor): Tensor {
  return scalarBeside(base, x, floatOf(x.dtype)).pow(x);
}
