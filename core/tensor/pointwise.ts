/** Pointwise methods. Everything but the primitives is composed, in one place, for all devices. */
import { isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import { choiceDtype, type Numeric, TensorBase, whereNodes, wrap } from "./base.ts";
import type { Tensor } from "./tensor.ts";

const sqrt2OverPi = Math.sqrt(2 / Math.PI);

/** Pointwise operations; binary ones broadcast and promote as PyTorch's do. */
export abstract class PointwiseTensor extends TensorBase {
  /** This tensor as the public class. */
  protected get self(): Tensor {
    return this as unknown as Tensor;
  }

  /** `this + alpha * x`. */
  add(x: Numeric, options: { alpha?: number } = {}): Tensor {
    return this.binary("add", scaled(x, options.alpha));
  }
  /** `this - alpha * x`. */
  sub(x: Numeric, options: { alpha?: number } = {}): Tensor {
    if (this.dtype === "bool" && typeof x !== "number" && x.dtype === "bool") {
      throw new TypeError("Cannot subtract bool tensors: use bitwiseXor");
    }
    return this.binary("sub", scaled(x, options.alpha), "subtract");
  }
  /** `this * x`. */
  mul(x: Numeric): Tensor {
    return this.binary("mul", x, "multiply");
  }
  /** `this / x`; integers give float32. */
  div(x: Numeric): Tensor {
    return this.binary("div", x, "divide", { float: true });
  }
  /** `this` to the power `x`; small whole exponents are products. */
  pow(x: Numeric): Tensor {
    if (x === 1) return this.self;
    if (x === 2) return this.mul(this.self);
    if (x === 3) return this.mul(this.self).mul(this.self);
    if (x === 0.5 && isFloat(this.dtype)) return this.sqrt();
    if (x === -1 && isFloat(this.dtype)) return this.reciprocal();
    return this.binary("pow", x, "raise");
  }
  /** Remainder with the sign of the divisor. */
  remainder(x: Numeric): Tensor {
    return this.binary("mod", x, "take the remainder of");
  }
  /** Quotient rounded down. */
  floorDivide(x: Numeric): Tensor {
    const integers = !isFloat(this.dtype) &&
      (typeof x === "number" ? Number.isInteger(x) : !isFloat(x.dtype));
    if (!integers) return this.div(x).floor();
    return this.sub(this.remainder(x)).binary("div", x, "divide");
  }
  /** The larger of two; NaN wins. */
  maximum(x: Numeric): Tensor {
    return this.binary("max", x, "compare");
  }
  /** The smaller of two; NaN wins. */
  minimum(x: Numeric): Tensor {
    return this.binary("min", x, "compare");
  }

  /** `this < x`. */
  lt(x: Numeric): Tensor {
    return this.binary("lt", x, "compare");
  }
  /** `this <= x`. */
  le(x: Numeric): Tensor {
    return this.binary("le", x, "compare");
  }
  /** `this > x`. */
  gt(x: Numeric): Tensor {
    return this.binary("lt", x, "compare", { swap: true });
  }
  /** `this >= x`. */
  ge(x: Numeric): Tensor {
    return this.binary("le", x, "compare", { swap: true });
  }
  /** `this == x`. */
  eq(x: Numeric): Tensor {
    return this.binary("eq", x, "compare");
  }
  /** `this != x`. */
  ne(x: Numeric): Tensor {
    return this.eq(x).logicalNot();
  }

  /** Bitwise (or logical, of bool) and. */
  bitwiseAnd(x: Numeric): Tensor {
    return this.binary("and", x, "combine the bits of");
  }
  /** Bitwise (or logical, of bool) or. */
  bitwiseOr(x: Numeric): Tensor {
    return this.binary("or", x, "combine the bits of");
  }
  /** Bitwise (or logical, of bool) exclusive or. */
  bitwiseXor(x: Numeric): Tensor {
    return this.binary("xor", x, "combine the bits of");
  }
  /** Bitwise (or logical, of bool) complement. */
  bitwiseNot(): Tensor {
    return this.unary("not", "invert the bits of");
  }
  /** `this << x` of integers. */
  bitwiseLeftShift(x: Numeric): Tensor {
    return this.binary("shl", x, "shift the bits of");
  }
  /** `this >> x` of integers, keeping the sign. */
  bitwiseRightShift(x: Numeric): Tensor {
    return this.binary("shr", x, "shift the bits of");
  }
  /** True where both are not zero. */
  logicalAnd(x: Tensor): Tensor {
    return this.bool().bitwiseAnd(x.bool());
  }
  /** True where one is not zero. */
  logicalOr(x: Tensor): Tensor {
    return this.bool().bitwiseOr(x.bool());
  }
  /** True where just one is not zero. */
  logicalXor(x: Tensor): Tensor {
    return this.bool().bitwiseXor(x.bool());
  }
  /** True where zero. */
  logicalNot(): Tensor {
    return this.bool().unary("not");
  }
  /** Casts to bool: true where not zero. */
  abstract bool(): Tensor;

  /** `-this`. */
  neg(): Tensor {
    if (this.dtype === "bool") throw new TypeError("Cannot negate bool tensors: use logicalNot");
    return this.unary("neg", "negate");
  }
  /** Absolute value. */
  abs(): Tensor {
    return this.unary("abs");
  }
  /** e to the power of this. */
  exp(): Tensor {
    return this.unary("exp");
  }
  /** Natural logarithm. */
  log(): Tensor {
    return this.unary("log");
  }
  /** Logarithm to base 2. */
  log2(): Tensor {
    return this.log().mul(Math.LOG2E);
  }
  /**
   * `log(1 + this)`, accurate near 0: with u = 1 + x rounded, `log(u) * x / (u - 1)` cancels the rounding of u (Kahan's form, in
   * Goldberg, "What every computer scientist should know about floating-point arithmetic", theorem 4).
   */
  log1p(): Tensor {
    const u = this.add(1), d = u.sub(1);
    const exact = d.eq(0);
    const safe = exact.where(1, d);
    const finite = u.log().mul(this.self.div(safe));
    return exact.where(this.self, u.eq(Infinity).where(Infinity, finite));
  }
  /** `exp(this) - 1`, accurate near 0: `tanh(x/2) * (exp(x) + 1)`. */
  expm1(): Tensor {
    return this.abs().lt(0.5).where(this.mul(0.5).tanh().mul(this.exp().add(1)), this.exp().sub(1));
  }
  /** Square root. */
  sqrt(): Tensor {
    return this.unary("sqrt");
  }
  /** `1 / sqrt(this)`. */
  rsqrt(): Tensor {
    return this.sqrt().reciprocal();
  }
  /** `this * this`. */
  square(): Tensor {
    return this.mul(this.self);
  }
  /** `1 / this`. */
  reciprocal(): Tensor {
    return wrap(constNode(1, [], isFloat(this.dtype) ? this.dtype : "float32", this.device)).div(
      this.self,
    );
  }
  /** Sine of radians. */
  sin(): Tensor {
    return this.unary("sin");
  }
  /** Cosine of radians. */
  cos(): Tensor {
    return this.unary("cos");
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return this.unary("tanh");
  }
  /** Error function. */
  erf(): Tensor {
    return this.unary("erf");
  }
  /** Largest whole number not above. */
  floor(): Tensor {
    return isFloat(this.dtype) ? this.unary("floor") : this.self;
  }
  /** Smallest whole number not below. */
  ceil(): Tensor {
    return isFloat(this.dtype) ? this.neg().unary("floor").neg() : this.self;
  }
  /** Nearest whole number, ties to even. */
  round(): Tensor {
    return isFloat(this.dtype) ? this.unary("round") : this.self;
  }
  /** Whole part. */
  trunc(): Tensor {
    return isFloat(this.dtype) ? this.unary("trunc") : this.self;
  }
  /** -1, 0 or 1. */
  sign(): Tensor {
    return this.gt(0).to(this.dtype).sub(this.lt(0).to(this.dtype));
  }
  /** True where not a number. */
  isnan(): Tensor {
    return this.ne(this.self);
  }
  /** True where infinite. */
  isinf(): Tensor {
    return this.abs().eq(Infinity);
  }
  /** True where neither infinite nor NaN. */
  isfinite(): Tensor {
    return this.abs().lt(Infinity);
  }

  /** `1 / (1 + exp(-this))`. */
  sigmoid(): Tensor {
    return this.neg().exp().add(1).reciprocal();
  }
  /** `max(this, 0)`, passing NaN on; the gradient at 0 is 0. */
  relu(): Tensor {
    return this.le(0).where(0, this.self);
  }
  /** Gaussian error linear unit, by erf or by tanh (Hendrycks and Gimpel, "Gaussian error linear units", 2016). */
  gelu(options: { approximate?: "none" | "tanh" } = {}): Tensor {
    const x = this.self;
    if (options.approximate === "tanh") {
      const inner = x.mul(x).mul(0.044715).add(1).mul(x).mul(sqrt2OverPi);
      return inner.tanh().add(1).mul(x.mul(0.5));
    }
    return x.mul(Math.SQRT1_2).erf().add(1).mul(x.mul(0.5));
  }
  /** `this * sigmoid(this)`. */
  silu(): Tensor {
    return this.mul(this.sigmoid());
  }
  /** `log(1 + exp(beta * this)) / beta`, linear above `threshold`. */
  softplus(options: { beta?: number; threshold?: number } = {}): Tensor {
    const { beta = 1, threshold = 20 } = options;
    const x = this.mul(beta), linear = x.gt(threshold);
    const soft = linear.where(0, x).exp().log1p().div(beta);
    return linear.where(this.self, soft);
  }
  /** `this` above 0, `negativeSlope * this` below. */
  leakyRelu(negativeSlope = 0.01): Tensor {
    return this.gt(0).where(this.self, this.mul(negativeSlope));
  }
  /** `this` above 0, `alpha * (exp(this) - 1)` below. */
  elu(alpha = 1): Tensor {
    const positive = this.gt(0);
    return positive.where(this.self, positive.where(0, this.self).expm1().mul(alpha));
  }
  /**
   * Limits values to `[min, max]`.
   * @throws {TypeError} When neither limit is given
   */
  clamp(limits: { min?: Numeric; max?: Numeric }): Tensor {
    if (limits.min === undefined && limits.max === undefined) {
      throw new TypeError("Cannot clamp: give min, max or both");
    }
    let out = this.self;
    if (limits.min !== undefined) out = out.lt(limits.min).where(limits.min, out);
    if (limits.max !== undefined) out = out.gt(limits.max).where(limits.max, out);
    return out;
  }
  /** `this + weight * (end - this)`. */
  lerp(end: Tensor, weight: Numeric): Tensor {
    return this.add(end.sub(this.self).mul(weight));
  }
  /** This tensor is the condition: `a` where true, `b` where false. */
  where(a: Numeric, b: Numeric): Tensor {
    const dtype = choiceDtype(a, b);
    const node = (x: Numeric) =>
      typeof x === "number"
        ? constNode(x, [], dtype, this.device)
        : this.operand(x, "choose between");
    return wrap(whereNodes(this.node, node(a), node(b), dtype));
  }
  /** `value` where the mask is true. */
  maskedFill(mask: Tensor, value: Numeric): Tensor {
    const fill = typeof value === "number"
      ? wrap(constNode(value, [], this.dtype, this.device))
      : value.to(this.dtype);
    return mask.where(fill, this.self);
  }
}

function scaled(x: Numeric, alpha = 1): Numeric {
  if (alpha === 1) return x;
  return typeof x === "number" ? x * alpha : x.mul(alpha);
}
