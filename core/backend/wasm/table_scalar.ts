/**
 * How each primitive is written for one element: floats in their own width (float16 and bfloat16 as float32), int64 in i64, the other
 * integers and bool (0 or 1) in i32. Transcendental functions are JavaScript's, in float64.
 */
import type { DType } from "../../dtype.ts";
import type { OpName } from "../../ops.ts";
import type { Code } from "./assembler.ts";
import { forms } from "./convert.ts";
import { call, f32, f64, get, i32, i64, ifElse, ret, select, seq, set } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import { power64 } from "./math.ts";
import { erf64, philox32, remainder64 } from "./scalar_functions.ts";
import type { Row } from "./table.ts";

/** Wasm type that one element of a dtype is held in. */
export const scalarTypes: Readonly<Record<DType, "f32" | "f64" | "i32" | "i64">> = {
  float32: "f32",
  float64: "f64",
  float16: "f32",
  bfloat16: "f32",
  int32: "i32",
  int64: "i64",
  uint8: "i32",
  bool: "i32",
};

const floats = { f32, f64 }, ints = { i32, i64 };
type FloatName = "abs" | "neg" | "sqrt" | "floor" | "nearest" | "trunc";
type Fold = (dtype: DType, x: Code) => Code;

const wrap: Fold = (dtype, x) => {
  if (dtype === "uint8") return i32.and(x, i32.const(255));
  return x;
};
const floatOf = (d: DType) => floats[scalarTypes[d] as "f32" | "f64"];
const intOf = (d: DType) => ints[scalarTypes[d] as "i32" | "i64"];
const isFloating = (d: DType) => forms[d] === "float";
const zeroOf = (d: DType): Code => d === "int64" ? i64.const(0n) : i32.const(0);

const unary = (name: FloatName): Row => (_k, c, x) => floatOf(c.operand)[name](x);

/** A function of float64, whatever the width of its operands. */
const wide = (f: (k: Kit, ...x: Code[]) => Code): Row => (k, c, ...x) =>
  scalarTypes[c.operand] === "f64"
    ? f(k, ...x)
    : f32.demoteF64(f(k, ...x.map((a) => f64.promoteF32(a))));
const imported = (name: string): Row => wide((k, x) => call(k.math(name), x));

const arithmetic =
  (name: "add" | "sub" | "mul", bool: "or" | "xor" | "and"): Row => (_k, c, x, y) => {
    if (isFloating(c.operand)) return floatOf(c.operand)[name](x, y);
    if (c.operand === "bool") return i32[bool](x, y);
    return wrap(c.result, intOf(c.operand)[name](x, y));
  };
const bitwise = (name: "and" | "or" | "xor"): Row => (_k, c, x, y) => intOf(c.operand)[name](x, y);
const compare = (float: "lt" | "le" | "eq", int: "ltS" | "leS" | "eq"): Row => (_k, c, x, y) =>
  isFloating(c.operand) ? floatOf(c.operand)[float](x, y) : intOf(c.operand)[int](x, y);
const extreme = (float: "max" | "min", int: "gtS" | "ltS"): Row => (_k, c, x, y) =>
  isFloating(c.operand)
    ? floatOf(c.operand)[float](x, y)
    : select(x, y, intOf(c.operand)[int](x, y));

/** A helper function of two integers of the operands' type. */
const intHelper = (
  name: string,
  body: (t: typeof i32 | typeof i64, zero: Code, minusOne: Code, x: Code, y: Code) => Code,
): Row =>
(k, c, x, y) => {
  const type = scalarTypes[c.operand] as "i32" | "i64";
  const f = k.helper(`${name} ${type}`, [type, type], [type], (f) => {
    const minusOne = type === "i64" ? i64.const(-1n) : i32.const(-1);
    f.emit(body(ints[type], zeroOf(c.operand), minusOne, get(0), get(1)));
  });
  return wrap(c.result, call(f, x, y));
};

const quotient = intHelper("quotient", (t, zero, minusOne, x, y) =>
  seq(
    ifElse(t.eqz(y), seq(zero, ret)),
    ifElse(t.eq(y, minusOne), seq(t.sub(zero, x), ret)), // the least integer by -1 would trap
    t.divS(x, y),
  ));
const remainder = intHelper("remainder", (t, zero, minusOne, x, y) =>
  seq(
    ifElse(t.eqz(y), seq(zero, ret)),
    ifElse(t.eq(y, minusOne), seq(zero, ret)),
    set(0, t.remS(x, y)),
    ifElse(i32.and(i32.eqz(t.eqz(x)), t.ltS(t.xor(x, y), zero)), set(0, t.add(x, y))),
    x,
  ));
const shift = (name: "shl" | "shrS"): Row =>
  intHelper(name, (t, zero, _, x, y) => {
    const bits = t === i64 ? i64.const(64n) : i32.const(32);
    const inRange = i32.and(t.geS(y, zero), t.ltS(y, bits));
    const most = t === i64 ? i64.const(63n) : i32.const(31);
    return name === "shl"
      ? select(t.shl(x, y), zero, inRange)
      : t.shrS(x, select(y, most, inRange));
  });

/** Rounds an f32 to float16 or bfloat16 by means of the vector code, in one lane. */
export type ScalarRound = (k: Kit, dtype: DType, x: Code) => Code;

const toFloat: Readonly<
  Record<"f32" | "f64" | "i32" | "i64", Record<"f32" | "f64", (x: Code) => Code>>
> = {
  f32: { f32: (x) => x, f64: f64.promoteF32 },
  f64: { f32: f32.demoteF64, f64: (x) => x },
  i32: { f32: f32.convertI32S, f64: f64.convertI32S },
  i64: { f32: f32.convertI64S, f64: f64.convertI64S },
};
const toInt: Readonly<
  Record<"f32" | "f64" | "i32" | "i64", Record<"i32" | "i64", (x: Code) => Code>>
> = {
  f32: { i32: i32.truncSatF32S, i64: i64.truncSatF32S },
  f64: { i32: i32.truncSatF64S, i64: i64.truncSatF64S },
  i32: { i32: (x) => x, i64: i64.extendI32S },
  i64: { i32: i32.wrapI64, i64: (x) => x },
};

/** Converts one element; rounding to 16-bit floats is left to `round`. */
export function castScalar(k: Kit, x: Code, from: DType, to: DType, round: ScalarRound): Code {
  const source = scalarTypes[from], target = scalarTypes[to];
  if (to === "bool") {
    if (from === "bool") return x;
    if (source === "f32") return f32.ne(x, f32.const(0));
    if (source === "f64") return f64.ne(x, f64.const(0));
    return i32.eqz(ints[source].eqz(x));
  }
  if (target === "f32" || target === "f64") {
    const y = toFloat[source][target](x);
    return to === "float16" || to === "bfloat16" ? round(k, to, y) : y;
  }
  return wrap(to, toInt[source][target](x));
}

/** One element of every primitive; `round` narrows to 16-bit floats. */
export function scalarTable(round: ScalarRound): Readonly<Record<OpName, Row>> {
  return {
    neg: (_, c, x) =>
      isFloating(c.operand)
        ? floatOf(c.operand).neg(x)
        : wrap(c.result, intOf(c.operand).sub(zeroOf(c.operand), x)),
    abs: (_, c, x) => {
      if (isFloating(c.operand)) return floatOf(c.operand).abs(x);
      const t = intOf(c.operand), zero = zeroOf(c.operand);
      return select(t.sub(zero, x), x, t.ltS(x, zero));
    },
    exp: imported("exp"),
    log: imported("log"),
    sqrt: unary("sqrt"),
    sin: imported("sin"),
    cos: imported("cos"),
    tanh: imported("tanh"),
    erf: wide((k, x) => call(erf64(k), x)),
    floor: unary("floor"),
    round: unary("nearest"),
    trunc: unary("trunc"),
    not: (_, c, x) => {
      if (c.operand === "bool") return i32.eqz(x);
      if (c.operand === "int64") return i64.xor(x, i64.const(-1n));
      return wrap(c.result, i32.xor(x, i32.const(-1)));
    },
    cast: (k, c, x) => castScalar(k, x, c.operand, c.result, round),
    add: arithmetic("add", "or"),
    sub: arithmetic("sub", "xor"),
    mul: arithmetic("mul", "and"),
    div: (k, c, x, y) =>
      isFloating(c.operand) ? floatOf(c.operand).div(x, y) : quotient(k, c, x, y),
    pow: wide((k, x, y) => power64(k)(x, y)),
    mod: (k, c, x, y) =>
      isFloating(c.operand)
        ? wide((k, x, y) => call(remainder64(k), x, y))(k, c, x, y)
        : remainder(k, c, x, y),
    max: extreme("max", "gtS"),
    min: extreme("min", "ltS"),
    lt: compare("lt", "ltS"),
    le: compare("le", "leS"),
    eq: compare("eq", "eq"),
    and: bitwise("and"),
    or: bitwise("or"),
    xor: bitwise("xor"),
    shl: shift("shl"),
    shr: shift("shrS"),
    where: (_k, _c, condition, x, y) => select(x, y, condition),
    randomBits: (k, _, counter, low, high, offset) => call(philox32(k), counter, low, high, offset),
  };
}
