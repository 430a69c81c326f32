/**
 * Transcendental functions of four float32 lanes. Range reduction and minimax polynomials follow the Cephes library (S. Moshier, expf,
 * logf, tanhf, sinf); erf is a ratio of polynomials on [-4, 4]. Every function gives the right infinities, zeros, NaN and subnormals.
 */
import type { Code } from "./assembler.ts";
import {
  call,
  f32,
  f32x4,
  f64,
  f64x2,
  get,
  i32,
  i32x4,
  ifElse,
  select,
  set,
  v128,
} from "./instructions.ts";
import type { Kit } from "./kit.ts";

const { relaxedMadd: madd, relaxedNmadd: nmadd } = f32x4;

/** Horner's rule, highest coefficient first. */
function polynomial(k: Kit, x: Code, coefficients: readonly number[]): Code {
  let sum = k.f(coefficients[0]);
  for (const c of coefficients.slice(1)) sum = k.vec(madd(sum, x, k.f(c)));
  return sum;
}

const expPolynomial = [
  1.9875691500e-4,
  1.3981999507e-3,
  8.3334519073e-3,
  4.1665795894e-2,
  1.6666665459e-1,
  5.0000001201e-1,
];
// ln 2 in two parts, the first with few enough bits that its products with exponents are exact.
const LN2_HIGH = 0.693359375, LN2_LOW = -2.12194440e-4;

/** `exp(r) * 2^n` in parts: the first factor, and `n` as integers, for `x` already clamped. */
function expParts(k: Kit, x: Code): { y: Code; n: Code } {
  const n = k.vec(f32x4.nearest(f32x4.mul(x, k.f(Math.LOG2E))));
  const r0 = k.vec(nmadd(n, k.f(LN2_HIGH), x));
  const r = k.vec(nmadd(n, k.f(LN2_LOW), r0));
  const p = polynomial(k, r, expPolynomial);
  const square = k.vec(f32x4.mul(r, r));
  const y = k.vec(f32x4.add(madd(p, square, r), k.f(1)));
  return { y, n: k.vec(i32x4.relaxedTruncF32x4S(n)) };
}

/** 2 to the integer power `n`, as float bits; `n` must be a normal exponent. */
const power2 = (k: Kit, n: Code): Code => i32x4.shl(i32x4.add(n, k.i(127)), i32.const(23));

/** e to the x. */
export function exp(k: Kit, x: Code): Code {
  // The order of the operands lets NaN through both clamps.
  const clamped = k.vec(f32x4.pmax(f32x4.pmin(x, k.f(89)), k.f(-104)));
  const { y, n } = expParts(k, clamped);
  // Two steps, since 2^n itself can be too large or subnormal.
  const half = k.vec(i32x4.shrS(n, i32.const(1)));
  return f32x4.mul(f32x4.mul(y, power2(k, half)), power2(k, i32x4.sub(n, half)));
}

/** e to the x for x <= 0, where values below 2^-126 may become tiny ones. */
function expNegative(k: Kit, x: Code): Code {
  const { y, n } = expParts(k, k.vec(f32x4.pmax(x, k.f(-87.3))));
  return i32x4.add(y, i32x4.shl(n, i32.const(23)));
}

/** Natural logarithm. */
export function log(k: Kit, x: Code): Code {
  const small = k.vec(f32x4.lt(x, k.f(1.17549435e-38)));
  const scaled = k.vec(v128.bitselect(f32x4.mul(x, k.f(8388608)), x, small));
  const exponent = k.vec(i32x4.sub(i32x4.shrU(scaled, i32.const(23)), k.i(126)));
  const m = k.vec(v128.or(v128.and(scaled, k.i(0x007fffff)), k.i(0x3f000000)));
  const low = k.vec(f32x4.lt(m, k.f(Math.SQRT1_2)));
  const e = k.vec(
    f32x4.sub(f32x4.convertI32x4S(i32x4.add(exponent, low)), v128.and(small, k.f(23))),
  );
  const t = k.vec(f32x4.add(f32x4.sub(m, k.f(1)), v128.and(low, m)));
  const z = k.vec(f32x4.mul(t, t));
  const p = polynomial(k, t, [
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
  ]);
  let y = k.vec(f32x4.mul(f32x4.mul(p, t), z));
  y = k.vec(madd(e, k.f(LN2_LOW), y));
  y = k.vec(nmadd(z, k.f(0.5), y));
  const r = k.vec(madd(e, k.f(LN2_HIGH), f32x4.add(t, y)));
  let out = k.vec(v128.bitselect(k.f(-Infinity), r, f32x4.eq(x, k.f(0))));
  out = k.vec(v128.or(out, f32x4.lt(x, k.f(0)))); // all ones are a NaN
  out = k.vec(v128.bitselect(x, out, f32x4.eq(x, k.f(Infinity))));
  return v128.or(out, f32x4.ne(x, x));
}

/** Hyperbolic tangent. */
export function tanh(k: Kit, x: Code): Code {
  const size = k.vec(f32x4.abs(x)), z = k.vec(f32x4.mul(x, x));
  const p = polynomial(k, z, [
    -5.70498872745e-3,
    2.06390887954e-2,
    -5.37397155531e-2,
    1.33314422036e-1,
    -3.33332819422e-1,
  ]);
  const inner = k.vec(madd(f32x4.mul(p, z), x, x));
  const e = k.vec(expNegative(k, k.vec(f32x4.mul(size, k.f(-2)))));
  const quotient = f32x4.div(f32x4.sub(k.f(1), e), f32x4.add(k.f(1), e));
  const outer = k.vec(v128.or(quotient, v128.and(x, k.i(0x80000000))));
  return v128.bitselect(inner, outer, f32x4.lt(size, k.f(0.625)));
}

/** Error function, to 4e-7 absolute and a few units in the last place. */
export function erf(k: Kit, x: Code): Code {
  const c = k.vec(f32x4.pmax(f32x4.pmin(x, k.f(4)), k.f(-4)));
  const z = k.vec(f32x4.mul(c, c));
  const p = polynomial(k, z, [
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
  ]);
  const q = polynomial(k, z, [
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
  ]);
  return f32x4.div(f32x4.mul(c, p), q);
}

/** Calls a float64 function on each lane of one or two vectors. */
export function perLane(call1: (...lane: Code[]) => Code, ...vectors: Code[]): Code {
  let out: Code | undefined;
  for (let lane = 0; lane < 4; lane++) {
    const y = f32.demoteF64(
      call1(...vectors.map((v) => f64.promoteF32(f32x4.extractLane(lane, v)))),
    );
    out = out === undefined ? f32x4.splat(y) : f32x4.replaceLane(lane, out, y);
  }
  return out!;
}

/** Low (0) or high (1) two lanes of a float32 vector as float64. */
const widen = (x: Code, part: 0 | 1): Code =>
  f64x2.promoteLowF32x4(part === 0 ? x : i32x4.shuffle(x, x, [2, 3, 2, 3]));

/** The low halves of two vectors side by side. */
const joinHalves = (low: Code, high: Code): Code => i32x4.shuffle(low, high, [0, 1, 4, 5]);

const narrow = (low: Code, high: Code): Code =>
  joinHalves(f32x4.demoteF64x2Zero(low), f32x4.demoteF64x2Zero(high));

// Beyond this, products with the first part of pi/2 (33 bits, from fdlibm) are not exact.
const PHASE_LIMIT = 1e6,
  PI_HALF_HIGH = 1.57079632673412561417,
  PI_HALF_LOW = 6.07710050650619224932e-11;

/** The distance to the nearest multiple of pi/2, and that multiple's number; in float64, since the difference cancels. */
function phase(k: Kit, x: Code): { r: Code; quadrant: Code } {
  const parts = ([0, 1] as const).map((part) => {
    const wide = k.vec(widen(x, part));
    const n = k.vec(f64x2.nearest(f64x2.mul(wide, k.d(2 / Math.PI))));
    const r0 = f64x2.sub(wide, f64x2.mul(n, k.d(PI_HALF_HIGH)));
    return { n, r: k.vec(f64x2.sub(r0, f64x2.mul(n, k.d(PI_HALF_LOW)))) };
  });
  const [low, high] = parts.map((p) => i32x4.truncSatF64x2SZero(p.n));
  return { r: k.vec(narrow(parts[0].r, parts[1].r)), quadrant: joinHalves(low, high) };
}

function sine(k: Kit, x: Code, name: "sin" | "cos"): Code {
  const { r, quadrant: n } = phase(k, x);
  const z = k.vec(f32x4.mul(r, r));
  const s = polynomial(k, z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]);
  const odd = k.vec(madd(f32x4.mul(s, z), r, r));
  const c = polynomial(k, z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
  const even = k.vec(madd(f32x4.mul(c, z), z, nmadd(z, k.f(0.5), k.f(1))));
  const quadrant = k.vec(name === "sin" ? n : i32x4.add(n, k.i(1)));
  const swap = i32x4.eq(v128.and(quadrant, k.i(1)), k.i(1));
  const sign = i32x4.shl(v128.and(quadrant, k.i(2)), i32.const(30));
  const out = k.run.local("v128");
  k.out.push(set(out, v128.xor(v128.bitselect(even, odd, swap), sign)));
  // Written so that NaN takes the slow way too.
  const fits = i32x4.allTrue(f32x4.lt(f32x4.abs(x), k.f(PHASE_LIMIT)));
  const slow = set(out, perLane((lane) => call(k.math(name), lane), x));
  k.out.push(ifElse(i32.eqz(fits), slow));
  return get(out);
}

/** Sine; the sign of zero is kept. */
export function sin(k: Kit, x: Code): Code {
  const y = k.vec(sine(k, x, "sin"));
  return v128.bitselect(x, y, f32x4.eq(x, k.f(0)));
}

/** Cosine. */
export function cos(k: Kit, x: Code): Code {
  return sine(k, x, "cos");
}

/** `x ** y` of float64 numbers as C defines it: JavaScript gives NaN for 1 ** NaN and 1 ** Infinity. */
export function power64(k: Kit): (x: Code, y: Code) => Code {
  const f = k.helper("power", ["f64", "f64"], ["f64"], (f) => {
    const x = get(0), y = get(1);
    const one = f64.eq(x, f64.const(1));
    const minusOne = i32.and(
      f64.eq(x, f64.const(-1)),
      f64.eq(f64.abs(y), f64.const(Infinity)),
    );
    f.emit(select(f64.const(1), call(k.math("pow", 2), x, y), i32.or(one, minusOne)));
  });
  return (x, y) => call(f, x, y);
}

// atanh(t) / t = 1 + t^2/3 + t^4/5 + ..., |t| <= 0.1716, to 1e-13.
const atanhSeries = [1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1];

/** `x ** y`: the logarithm in float64, so that large exponents lose nothing; special operands go through `Math.pow`. */
export function pow(k: Kit, x: Code, y: Code): Code {
  const bits = k.vec(i32x4.sub(x, k.i(0x3f3504f3))); // exponent 0 for m in [sqrt(1/2), sqrt(2))
  const exponent = k.vec(i32x4.shrS(bits, i32.const(23)));
  const m = k.vec(i32x4.add(v128.and(bits, k.i(0x007fffff)), k.i(0x3f3504f3)));
  const parts = ([0, 1] as const).map((part) => {
    const w = k.vec(widen(m, part));
    const one = k.d(1);
    const t = k.vec(f64x2.div(f64x2.sub(w, one), f64x2.add(w, one)));
    const z = k.vec(f64x2.mul(t, t));
    let s = k.d(atanhSeries[0]);
    for (const c of atanhSeries.slice(1)) {
      s = k.vec(f64x2.add(f64x2.mul(s, z), k.d(c)));
    }
    const lanes = part === 0 ? exponent : i32x4.shuffle(exponent, exponent, [2, 3, 2, 3]);
    const log2 = f64x2.add(
      f64x2.convertLowI32x4S(lanes),
      f64x2.mul(f64x2.mul(s, t), k.d(2 * Math.LOG2E)),
    );
    return k.vec(f64x2.mul(log2, widen(y, part)));
  });
  const rounded = k.vec(f32x4.nearest(narrow(parts[0], parts[1])));
  const n = k.vec(f32x4.pmax(f32x4.pmin(rounded, k.f(160)), k.f(-160)));
  const rest = ([0, 1] as const).map((part) => f64x2.sub(parts[part], widen(n, part)));
  const clampedRest = k.vec(narrow(rest[0], rest[1]));
  const r = k.vec(f32x4.mul(
    f32x4.pmax(f32x4.pmin(clampedRest, k.f(1)), k.f(-1)),
    k.f(Math.LN2),
  ));
  const p = polynomial(k, r, expPolynomial);
  const e = k.vec(f32x4.add(madd(p, f32x4.mul(r, r), r), k.f(1)));
  const whole = k.vec(i32x4.relaxedTruncF32x4S(n));
  const half = k.vec(i32x4.shrS(whole, i32.const(1)));
  const out = k.run.local("v128");
  k.out.push(set(
    out,
    f32x4.mul(f32x4.mul(e, power2(k, half)), power2(k, i32x4.sub(whole, half))),
  ));
  // Positive normal numbers with finite exponents only.
  const usual = i32x4.allTrue(v128.and(
    i32x4.ltU(i32x4.sub(x, k.i(0x00800000)), k.i(0x7f000000)),
    f32x4.lt(f32x4.abs(y), k.f(Infinity)),
  ));
  const exact = power64(k);
  k.out.push(ifElse(i32.eqz(usual), set(out, perLane((a, b) => exact(a, b), x, y))));
  return get(out);
}
