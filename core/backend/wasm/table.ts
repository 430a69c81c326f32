/** How each primitive is written for four lanes of 32 bits. Its scalar twin is in `table_scalar.ts`. */
import type { DType } from "../../dtype.ts";
import type { OpName } from "../../ops.ts";
import type { Code } from "./assembler.ts";
import { castLanes, type Form, forms, wrapInt } from "./convert.ts";
import { call, f32x4, f64x2, get, i32, i32x4, i8x16, select, v128 } from "./instructions.ts";
import type { Kit } from "./kit.ts";
import { cos, erf, exp, log, perLane, pow, sin, tanh } from "./math.ts";
import { philox } from "./philox.ts";
import { remainder64 } from "./scalar_functions.ts";

/** What a row is given besides its operands. */
export interface RowContext {
  /** Dtype of the operands (of the branches, for `where`). */
  readonly operand: DType;
  readonly result: DType;
  /** For each operand, its value where it is a constant of the kernel. */
  readonly known: readonly (number | undefined)[];
  /**
   * Computes what depends on these operands alone (by position) in the outermost loop where they are known; equal keys mean equal code.
   */
  readonly hoist: (operands: readonly number[], key: string, make: () => Code) => Code;
}

/** Context of an operation of two values of a dtype outside the kernel's own operations. */
export const plainContext = (dtype: DType): RowContext => ({
  operand: dtype,
  result: dtype,
  known: [],
  hoist: (_operands, _key, make) => make(),
});

/** Writes one primitive; operands are reads of locals, so they may be repeated. */
export type Row = (k: Kit, c: RowContext, ...x: Code[]) => Code;

type Plain = (k: Kit, ...x: Code[]) => Code;

/** A row that depends on the form of its operands; integers are kept in range. */
const byForm = (rows: Partial<Record<Form, Plain>>): Row => (k, c, ...x) => {
  const form = forms[c.operand], row = rows[form];
  if (row === undefined) throw new TypeError(`Cannot lower this operation for ${c.operand}`);
  return form === "int" ? wrapInt(k, c.result, row(k, ...x)) : row(k, ...x);
};
const float = (row: Plain): Row => (k, _, ...x) => row(k, ...x);

/** Applies a scalar i32 function to each lane of two vectors. */
function eachLane(f: (a: Code, b: Code) => Code, x: Code, y: Code): Code {
  let out: Code | undefined;
  for (let lane = 0; lane < 4; lane++) {
    const z = f(i32x4.extractLane(lane, x), i32x4.extractLane(lane, y));
    out = out === undefined ? i32x4.splat(z) : i32x4.replaceLane(lane, out, z);
  }
  return out!;
}

/** Truncated quotient of int32 lanes; 0 where the divisor is 0. Exact, since float64 holds every int32 quotient. */
function quotient(k: Kit, x: Code, y: Code): Code {
  const half = (part: 0 | 1) => {
    const pick = (v: Code) => part === 0 ? v : i32x4.shuffle(v, v, [2, 3, 2, 3]);
    const wide = (v: Code) => f64x2.convertLowI32x4S(pick(v));
    return i32x4.truncSatF64x2SZero(f64x2.div(wide(x), wide(y)));
  };
  const low = k.vec(half(0)), high = k.vec(half(1));
  const q = i8x16.shuffle(low, high, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  // The least int32 divided by -1 wraps, as negation does.
  const wrapped = k.vec(v128.bitselect(i32x4.neg(x), q, i32x4.eq(y, k.i(-1))));
  return v128.and(wrapped, i32x4.ne(y, k.i(0)));
}

function remainder(k: Kit, x: Code, y: Code): Code {
  const q = k.vec(quotient(k, x, y));
  const r = k.vec(i32x4.sub(x, i32x4.mul(q, y)));
  const wrong = v128.and(i32x4.ne(r, k.i(0)), i32x4.ltS(v128.xor(r, y), k.i(0)));
  return v128.and(i32x4.add(r, v128.and(y, wrong)), i32x4.ne(y, k.i(0)));
}

/** Shifts lane by lane; amounts of 32 and more shift everything out. */
function shift(name: "shl" | "shrS"): Row {
  return (k, c, x, y) => {
    const known = c.known[1];
    const vector = { shl: i32x4.shl, shrS: i32x4.shrS }[name];
    if (known !== undefined && known >= 0) {
      if (known > 31 && name === "shl") return k.i(0);
      return wrapInt(k, c.result, vector(x, i32.const(Math.min(known, 31))));
    }
    const scalar = name === "shl"
      ? (a: Code, b: Code) => select(i32.shl(a, b), i32.const(0), i32.ltU(b, i32.const(32)))
      : (a: Code, b: Code) => i32.shrS(a, select(b, i32.const(31), i32.ltU(b, i32.const(32))));
    const f = k.helper(name, ["i32", "i32"], ["i32"], (f) => f.emit(scalar(get(0), get(1))));
    return wrapInt(k, c.result, eachLane((a, b) => call(f, a, b), x, y));
  };
}

/** `pmin` and `pmax` return their first operand when one is NaN; where the second may be NaN its comparison with itself makes one. */
const extreme =
  (pick: (a: Code, b: Code) => Code, int: (a: Code, b: Code) => Code, bool: Plain): Row =>
  (k, c, x, y) => {
    const form = forms[c.operand];
    if (form === "int") return int(x, y);
    if (form === "bool") return bool(k, x, y);
    const [a, b] = c.known;
    if (b !== undefined && !Number.isNaN(b)) return pick(x, y);
    if (a !== undefined && !Number.isNaN(a)) return pick(y, x);
    return v128.or(pick(x, y), f32x4.ne(y, y));
  };

/** Lanes of every primitive. */
export const vectorTable: Readonly<Record<OpName, Row>> = {
  neg: byForm({ float: (_, x) => f32x4.neg(x), int: (_, x) => i32x4.neg(x), bool: (_, x) => x }),
  abs: byForm({ float: (_, x) => f32x4.abs(x), int: (_, x) => i32x4.abs(x), bool: (_, x) => x }),
  exp: float(exp),
  log: float(log),
  sqrt: float((_, x) => f32x4.sqrt(x)),
  sin: float(sin),
  cos: float(cos),
  tanh: float(tanh),
  erf: float(erf),
  floor: float((_, x) => f32x4.floor(x)),
  round: float((_, x) => f32x4.nearest(x)),
  trunc: float((_, x) => f32x4.trunc(x)),
  not: byForm({ int: (_, x) => v128.not(x), bool: (_, x) => v128.not(x) }),
  cast: (k, c, x) => castLanes(k, x, c.operand, c.result),
  add: byForm({
    float: (_, x, y) => f32x4.add(x, y),
    int: (_, x, y) => i32x4.add(x, y),
    bool: (_, x, y) => v128.or(x, y),
  }),
  sub: byForm({
    float: (_, x, y) => f32x4.sub(x, y),
    int: (_, x, y) => i32x4.sub(x, y),
    bool: (_, x, y) => v128.xor(x, y),
  }),
  mul: byForm({
    float: (_, x, y) => f32x4.mul(x, y),
    int: (_, x, y) => i32x4.mul(x, y),
    bool: (_, x, y) => v128.and(x, y),
  }),
  div: byForm({ float: (_, x, y) => f32x4.div(x, y), int: quotient }),
  pow: float(pow),
  mod: byForm({
    float: (k, x, y) => {
      const f = remainder64(k);
      return perLane((a, b) => call(f, a, b), x, y);
    },
    int: remainder,
  }),
  max: extreme(f32x4.pmax, i32x4.maxS, (_, x, y) => v128.or(x, y)),
  min: extreme(f32x4.pmin, i32x4.minS, (_, x, y) => v128.and(x, y)),
  lt: byForm({
    float: (_, x, y) => f32x4.lt(x, y),
    int: (_, x, y) => i32x4.ltS(x, y),
    bool: (_, x, y) => v128.andnot(y, x),
  }),
  le: byForm({
    float: (_, x, y) => f32x4.le(x, y),
    int: (_, x, y) => i32x4.leS(x, y),
    bool: (_, x, y) => v128.not(v128.andnot(x, y)),
  }),
  eq: byForm({
    float: (_, x, y) => f32x4.eq(x, y),
    int: (_, x, y) => i32x4.eq(x, y),
    bool: (_, x, y) => v128.not(v128.xor(x, y)),
  }),
  and: (_k, _c, x, y) => v128.and(x, y),
  or: (_k, _c, x, y) => v128.or(x, y),
  xor: (_k, _c, x, y) => v128.xor(x, y),
  shl: shift("shl"),
  shr: shift("shrS"),
  where: (_k, _c, condition, x, y) => v128.bitselect(x, y, condition),
  randomBits: (k, c, counter, low, high, offset) => philox(k, c.hoist, counter, low, high, offset),
};
