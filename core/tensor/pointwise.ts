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
  /** Remainder with the sign of the divisor. */
  remainder(x: Numeric): Tensor {
    return this.binary("mod", x, "take the remainder of");
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
  logicalAnd(x: Numeric): Tensor {
    return this.bool().bitwiseAnd(this.truth(x));
  }
  /** True where one is not zero. */
  logicalOr(x: Numeric): Tensor {
    return this.bool().bitwiseOr(this.truth(x));
  }
  /** True where just one is not zero. */
  logicalXor(x: Numeric): Tensor {
    return this.bool().bitwiseXor(this.truth(x));
  }
  /** True where zero. */
  logicalNot(): Tensor {
    return this.bool().unary("not");
  }
  /** Casts to bool: true where not zero. */
  abstract bool(): Tensor;
  /** `this / x`. */
  abstract div(x: Numeric): Tensor;
  /** `1 / (1 + exp(-this))`. */
  abstract sigmoid(): Tensor;
  /** An operand of a logical operation. */
  private truth(x: Numeric): Tensor {
    return typeof x === "number"
      ? wrap(constNode(x !== 0 ? 1 : 0, [], "bool", this.device))
      : x.bool();
  }

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
  /** Logarithm to base 10. */
  log10(): Tensor {
    return this.log().mul(Math.LOG10E);
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
  /** Nearest whole number, ties to even; with `decimals` the nearest multiple of `10 ** -decimals`. */
  round(options: { decimals?: number } = {}): Tensor {
    const { decimals = 0 } = options;
    if (!isFloat(this.dtype)) return this.self;
    if (decimals === 0) return this.unary("round");
    const ten = 10 ** Math.abs(decimals);
    return decimals > 0 ? this.mul(ten).round().div(ten) : this.div(ten).round().mul(ten);
  }
  /** Whole part. */
  trunc(): Tensor {
    return isFloat(this.dtype) ? this.unary("trunc") : this.self;
  }
  /** -1, 0 or 1; 0 for NaN. */
  sign(): Tensor {
    if (this.dtype === "bool") return this.self;
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
