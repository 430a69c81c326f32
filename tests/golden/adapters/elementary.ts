import { type DType, dtypes, full, type Numeric, type Tensor, where } from "@pta/accelerated";
import {
  type Adapter,
  type Adapters,
  argument,
  numberOf,
  numericOf,
  type Sample,
  tensorOf,
  type Value,
} from "../adapter.ts";

/** A method without arguments. */
const unary = (call: (x: Tensor) => Tensor): Adapter => (s) => call(tensorOf(s.input));

/** A method of a tensor and a tensor or number. */
const binary = (call: (x: Tensor, y: Numeric) => Tensor): Adapter => (s) =>
  call(tensorOf(s.input), numericOf(s.args[0]));

/** A method of two tensors. */
const paired = (call: (x: Tensor, y: Tensor, s: Sample) => Tensor): Adapter => (s) =>
  call(tensorOf(s.input), tensorOf(s.args[0]), s);

/** Python's reflected operator: the argument comes first. */
const reflected = (call: (x: Tensor, y: Tensor) => Tensor): Adapter => (s) => {
  const y = tensorOf(s.input), x = s.args[0];
  return call(typeof x === "number" ? full([], x) : tensorOf(x), y);
};

const alpha = (s: Sample) => ({ alpha: numberOf(s.kwargs.alpha, 1) });
const value = (s: Sample) => ({ value: numberOf(s.kwargs.value, 1) });
const optional = (x: Value | undefined) => x === undefined || x === null ? null : numericOf(x);
const optionalNumber = (x: Value | undefined) => x === undefined || x === null ? null : numberOf(x);
const tolerances = (s: Sample) => ({
  rtol: numberOf(argument(s, 1, "rtol"), 1e-5),
  atol: numberOf(argument(s, 2, "atol"), 1e-8),
  equalNan: argument(s, 3, "equal_nan") === true,
});

/** Rounding mode, as PyTorch's `div` takes it. */
function roundingMode(s: Sample): "trunc" | "floor" | null {
  const mode = s.kwargs.rounding_mode ?? null;
  if (mode === null || mode === "trunc" || mode === "floor") return mode;
  throw new TypeError(`Cannot use ${JSON.stringify(mode)} as a rounding mode`);
}

/** `to(device, dtype)`, `to(dtype)` or `to(other)`. */
function convert(s: Sample): Tensor {
  const x = tensorOf(s.input), first = s.args[0];
  if (typeof first !== "string") return x.to(tensorOf(first).dtype);
  if (first in dtypes) return x.to(first as DType);
  return x.to(first).to(s.args[1] as DType);
}

const divide: Adapter = (s) =>
  tensorOf(s.input).div(numericOf(s.args[0]), { roundingMode: roundingMode(s) });

/** Adapters by PyTorch's name. */
export const elementary: Adapters = {
  abs: unary((x) => x.abs()),
  acos: unary((x) => x.acos()),
  acosh: unary((x) => x.acosh()),
  add: (s) => tensorOf(s.input).add(numericOf(s.args[0]), alpha(s)),
  addcdiv: (s) => tensorOf(s.input).addcdiv(tensorOf(s.args[0]), tensorOf(s.args[1]), value(s)),
  addcmul: (s) => tensorOf(s.input).addcmul(tensorOf(s.args[0]), tensorOf(s.args[1]), value(s)),
  alias_copy: unary((x) => x.clone()),
  allclose: (s) => tensorOf(s.input).allclose(tensorOf(s.args[0]), tolerances(s)),
  angle: unary((x) => x.angle()),
  asin: unary((x) => x.asin()),
  asinh: unary((x) => x.asinh()),
  atan: unary((x) => x.atan()),
  atan2: binary((x, y) => x.atan2(y)),
  atanh: unary((x) => x.atanh()),
  bfloat16: unary((x) => x.bfloat16()),
  bitwise_and: binary((x, y) => x.bitwiseAnd(y)),
  bitwise_left_shift: binary((x, y) => x.bitwiseLeftShift(y)),
  bitwise_not: unary((x) => x.bitwiseNot()),
  bitwise_or: binary((x, y) => x.bitwiseOr(y)),
  bitwise_right_shift: binary((x, y) => x.bitwiseRightShift(y)),
  bitwise_xor: binary((x, y) => x.bitwiseXor(y)),
  bool: unary((x) => x.bool()),
  byte: unary((x) => x.byte()),
  ceil: unary((x) => x.ceil()),
  clamp: (s) =>
    tensorOf(s.input).clamp(optional(argument(s, 0, "min")), optional(argument(s, 1, "max"))),
  clamp_max: binary((x, y) => x.clampMax(y)),
  clamp_min: binary((x, y) => x.clampMin(y)),
  clone: unary((x) => x.clone()),
  conj: unary((x) => x.conj()),
  conj_physical: unary((x) => x.conj()),
  contiguous: unary((x) => x.contiguous()),
  copysign: binary((x, y) => x.copysign(y)),
  cos: unary((x) => x.cos()),
  cosh: unary((x) => x.cosh()),
  deg2rad: unary((x) => x.deg2rad()),
  div: divide,
  double: unary((x) => x.double()),
  eq: binary((x, y) => x.eq(y)),
  equal: (s) => tensorOf(s.input).equal(tensorOf(s.args[0])),
  exp: unary((x) => x.exp()),
  exp2: unary((x) => x.exp2()),
  expm1: unary((x) => x.expm1()),
  fill: (s) => tensorOf(s.input).fill(numericOf(argument(s, 0, "value"))),
  float: unary((x) => x.float()),
  float_power: binary((x, y) => x.floatPower(y)),
  floor: unary((x) => x.floor()),
  floor_divide: binary((x, y) => x.floorDivide(y)),
  fmax: binary((x, y) => x.fmax(y)),
  fmin: binary((x, y) => x.fmin(y)),
  fmod: binary((x, y) => x.fmod(y)),
  frac: unary((x) => x.frac()),
  frexp: (s) => {
    const { mantissa, exponent } = tensorOf(s.input).frexp();
    return [mantissa, exponent];
  },
  gcd: binary((x, y) => x.gcd(y)),
  ge: binary((x, y) => x.ge(y)),
  gt: binary((x, y) => x.gt(y)),
  half: unary((x) => x.half()),
  heaviside: binary((x, y) => x.heaviside(y)),
  hypot: binary((x, y) => x.hypot(y)),
  int: unary((x) => x.int()),
  isclose: paired((x, y, s) => x.isclose(y, tolerances(s))),
  isfinite: unary((x) => x.isfinite()),
  isin: paired((x, y, s) => x.isin(y, { invert: s.kwargs.invert === true })),
  isinf: unary((x) => x.isinf()),
  isnan: unary((x) => x.isnan()),
  isneginf: unary((x) => x.isneginf()),
  isposinf: unary((x) => x.isposinf()),
  isreal: unary((x) => x.isreal()),
  item: (s) => tensorOf(s.input).item(),
  lcm: binary((x, y) => x.lcm(y)),
  ldexp: binary((x, y) => x.ldexp(y)),
  le: binary((x, y) => x.le(y)),
  lerp: (s) => tensorOf(s.input).lerp(tensorOf(s.args[0]), numericOf(argument(s, 1, "weight"))),
  log: unary((x) => x.log()),
  log10: unary((x) => x.log10()),
  log1p: unary((x) => x.log1p()),
  log2: unary((x) => x.log2()),
  logaddexp: binary((x, y) => x.logaddexp(y)),
  logaddexp2: binary((x, y) => x.logaddexp2(y)),
  logical_and: binary((x, y) => x.logicalAnd(y)),
  logical_not: unary((x) => x.logicalNot()),
  logical_or: binary((x, y) => x.logicalOr(y)),
  logical_xor: binary((x, y) => x.logicalXor(y)),
  logit: (s) => tensorOf(s.input).logit(optionalNumber(argument(s, 0, "eps"))),
  long: unary((x) => x.long()),
  lt: binary((x, y) => x.lt(y)),
  maximum: binary((x, y) => x.maximum(y)),
  minimum: binary((x, y) => x.minimum(y)),
  mul: binary((x, y) => x.mul(y)),
  nan_to_num: (s) =>
    tensorOf(s.input).nanToNum({
      nan: optionalNumber(argument(s, 0, "nan")),
      posinf: optionalNumber(argument(s, 1, "posinf")),
      neginf: optionalNumber(argument(s, 2, "neginf")),
    }),
  ne: binary((x, y) => x.ne(y)),
  neg: unary((x) => x.neg()),
  nextafter: binary((x, y) => x.nextafter(y)),
  positive: unary((x) => x.positive()),
  pow: binary((x, y) => x.pow(y)),
  rad2deg: unary((x) => x.rad2deg()),
  real: unary((x) => x.real()),
  reciprocal: unary((x) => x.reciprocal()),
  remainder: binary((x, y) => x.remainder(y)),
  resolve_conj: unary((x) => x.conj()),
  resolve_neg: unary((x) => x.positive()),
  round: (s) => tensorOf(s.input).round({ decimals: numberOf(s.kwargs.decimals, 0) }),
  rsqrt: unary((x) => x.rsqrt()),
  rsub: (s) => tensorOf(s.input).rsub(numericOf(s.args[0]), alpha(s)),
  sgn: unary((x) => x.sgn()),
  sigmoid: unary((x) => x.sigmoid()),
  sign: unary((x) => x.sign()),
  signbit: unary((x) => x.signbit()),
  sin: unary((x) => x.sin()),
  sinc: unary((x) => x.sinc()),
  sinh: unary((x) => x.sinh()),
  sqrt: unary((x) => x.sqrt()),
  square: unary((x) => x.square()),
  sub: (s) => tensorOf(s.input).sub(numericOf(s.args[0]), alpha(s)),
  tan: unary((x) => x.tan()),
  tanh: unary((x) => x.tanh()),
  to: convert,
  true_divide: divide,
  trunc: unary((x) => x.trunc()),
  where: (s) => where(tensorOf(s.args[0]), numericOf(s.input), numericOf(s.args[1])),
  xlogy: binary((x, y) => x.xlogy(y)),
  // A leaf that takes gradients is not changed in place; PyTorch's sample works on a copy too.
  zero_: unary((x) => x.detach().clone().zero_()),
  __radd__: binary((x, y) => x.add(y)),
  __rand__: binary((x, y) => x.bitwiseAnd(y)),
  __rdiv__: reflected((x, y) => x.div(y)),
  __rmod__: reflected((x, y) => x.remainder(y)),
  __rmul__: binary((x, y) => x.mul(y)),
  __ror__: binary((x, y) => x.bitwiseOr(y)),
  __rpow__: reflected((x, y) => x.pow(y)),
  __rsub__: binary((x, y) => x.rsub(y)),
  __rxor__: binary((x, y) => x.bitwiseXor(y)),
};

/** Names left out, and why. */
export const elementaryReasons: Record<string, string> = {
  char: "int8 does not exist here: no backend holds it",
  short: "int16 does not exist here: no backend holds it",
};
