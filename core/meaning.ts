/** The meaning of every primitive in float64: the oracle of all backends, and how constants fold. */
import type { DType } from "./dtype.ts";
import { dtypes, roundTo } from "./dtype.ts";
import type { OpName, ReduceOp } from "./ops.ts";
import { philox4x32 } from "./rng.ts";

/** Meaning of a primitive; `dtype` is that of the result, which decides between integer and float semantics. */
export type Meaning = (dtype: DType, ...x: number[]) => number;

const truth = (x: boolean) => x ? 1 : 0;
const isFloating = (dtype: DType) => dtypes[dtype].kind === "float";

/** Error function to about 1e-16: the Maclaurin series inside, a continued fraction outside. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return NaN;
  if (a > 6) return Math.sign(x);
  if (a < 2.5) {
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  // erfc(a) = exp(-a^2) / sqrt(pi) * 1 / (a + 1/2 / (a + 1 / (a + 3/2 / (a + ...)))), Abramowitz and Stegun 7.1.14.
  let f = a;
  for (let k = 60; k > 0; k--) f = a + k / 2 / f;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / f);
}

function roundEven(x: number): number {
  const r = Math.round(x);
  return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

/** `x ** y` as C defines it; JavaScript differs where the base is 1 or -1. */
function power(x: number, y: number): number {
  if (x === 1 || y === 0) return 1;
  return x === -1 && !Number.isFinite(y) && !Number.isNaN(y) ? 1 : Math.pow(x, y);
}

/** Meaning of every primitive. */
export const meaning: Readonly<Record<OpName, Meaning>> = {
  neg: (_, x) => -x,
  abs: (_, x) => Math.abs(x),
  exp: (_, x) => Math.exp(x),
  log: (_, x) => Math.log(x),
  sqrt: (_, x) => Math.sqrt(x),
  sin: (_, x) => Math.sin(x),
  cos: (_, x) => Math.cos(x),
  tanh: (_, x) => Math.tanh(x),
  erf: (_, x) => erf(x),
  floor: (_, x) => Math.floor(x),
  round: (_, x) => roundEven(x),
  trunc: (_, x) => Math.trunc(x),
  not: (d, x) => d === "bool" ? truth(x === 0) : roundTo(d, ~x),
  cast: (d, x) => roundTo(d, x),
  add: (_, x, y) => x + y,
  sub: (_, x, y) => x - y,
  mul: (d, x, y) => d === "int32" ? Math.imul(x, y) : x * y,
  div: (d, x, y) => isFloating(d) ? x / y : y === 0 ? 0 : Math.trunc(x / y),
  pow: (_, x, y) => power(x, y),
  mod: (d, x, y) => {
    if (!isFloating(d) && y === 0) return 0;
    const r = x % y;
    return r !== 0 && (r < 0) !== (y < 0) ? r + y : r;
  },
  max: (_, x, y) => Math.max(x, y),
  min: (_, x, y) => Math.min(x, y),
  lt: (_, x, y) => truth(x < y),
  le: (_, x, y) => truth(x <= y),
  eq: (_, x, y) => truth(x === y),
  and: (d, x, y) => wide(d, x, y, (a, b) => a & b),
  or: (d, x, y) => wide(d, x, y, (a, b) => a | b),
  xor: (d, x, y) => wide(d, x, y, (a, b) => a ^ b),
  shl: (d, x, y) => wide(d, x, y, (a, b) => a << b),
  shr: (d, x, y) => wide(d, x, y, (a, b) => a >> b),
  where: (_, c, x, y) => c !== 0 ? x : y,
  randomBits: (_, counter, seedLow, seedHigh, offset) =>
    philox4x32([counter, offset, 0, 0], [seedLow, seedHigh])[0] | 0,
};

// Bitwise operations of int64 need all 64 bits; numbers hold 53, so they go through BigInt.
function wide(dtype: DType, x: number, y: number, f: (a: bigint, b: bigint) => bigint): number {
  return roundTo(dtype, Number(BigInt.asIntN(64, f(BigInt(x), BigInt(y)))));
}

/** Start and step of every reduction. */
export const reductions: Readonly<
  Record<ReduceOp, { readonly start: number; readonly step: (a: number, b: number) => number }>
> = {
  sum: { start: 0, step: (a, b) => a + b },
  prod: { start: 1, step: (a, b) => a * b },
  max: { start: -Infinity, step: Math.max },
  min: { start: Infinity, step: Math.min },
};

/** What a reduction of nothing is: the least and greatest values of the dtype for `max` and `min`. */
export function reduceStart(op: ReduceOp, dtype: DType): number {
  const limits: Partial<Record<DType, readonly [number, number]>> = {
    int32: [-(2 ** 31), 2 ** 31 - 1],
    int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    uint8: [0, 255],
    bool: [0, 1],
  };
  const { start } = reductions[op], [low, high] = limits[dtype] ?? [-Infinity, Infinity];
  return start === -Infinity ? low : start === Infinity ? high : start;
}
