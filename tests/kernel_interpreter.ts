/** An interpreter of kernel data, point by point in float64, and a runner of generated modules: the two sides of the lowering tests. */
import { lowerKernel, mathImports } from "../core/backend/wasm/lower.ts";
import { codecs, type DType, dtypes, type HostArray, roundTo } from "../core/dtype.ts";
import { type Address, fullValues, type Kernel, kernelKey, type Value } from "../core/kernel.ts";
import type { OpName } from "../core/ops.ts";

/** A kernel without the texts that follow from it. */
export function makeKernel(k: Omit<Kernel, "key" | "name">): Kernel {
  return { ...k, key: kernelKey(k), name: "test" };
}

function erf(x: number): number {
  // Simpson's rule on 2/sqrt(pi) exp(-t^2): slow, and independent of every other erf here.
  const end = Math.min(Math.abs(x), 6), n = 400, h = end / n;
  let sum = 0;
  for (let i = 0; i <= n; i++) {
    sum += Math.exp(-((i * h) ** 2)) * (i === 0 || i === n ? 1 : i % 2 === 1 ? 4 : 2);
  }
  return Number.isNaN(x) ? NaN : Math.sign(x) * Math.min(1, sum * h / 3 * 2 / Math.sqrt(Math.PI));
}

/** Philox 4x32-10 with BigInt arithmetic. */
export function philoxWords(counter: number[], key: number[]): number[] {
  let [a, b, c, d] = counter.map((x) => BigInt(x >>> 0)), [k, l] = key.map((x) => BigInt(x >>> 0));
  const low = (x: bigint) => x & 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const p = 0xd2511f53n * a, q = 0xcd9e8d57n * c;
    [a, b, c, d] = [(q >> 32n) ^ b ^ k, low(q), (p >> 32n) ^ d ^ l, low(p)];
    [k, l] = [low(k + 0x9e3779b9n), low(l + 0xbb67ae85n)];
  }
  return [a, b, c, d].map(Number);
}

const bool = (x: boolean) => x ? 1 : 0;
const big = (d: DType, f: (a: bigint, b: bigint) => bigint, x: number, y: number) =>
  Number(BigInt.asIntN(d === "int64" ? 64 : 32, f(BigInt(x), BigInt(y))));
const isFloat = (d: DType) => dtypes[d].kind === "float";

/** What each primitive means; `d` is the dtype of the result, `from` that of the operands. */
export const means: Readonly<Record<OpName, (d: DType, ...x: number[]) => number>> = {
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
  round: (_, x) => {
    const low = Math.floor(x), rest = x - low;
    if (rest !== 0.5) return Math.round(x);
    return low % 2 === 0 ? low : low + 1;
  },
  trunc: (_, x) => Math.trunc(x),
  not: (d, x) => d === "bool" ? bool(x === 0) : -x - 1,
  cast: (_, x) => x,
  add: (d, x, y) => d === "int32" ? (x + y) | 0 : x + y,
  sub: (d, x, y) => d === "int32" ? (x - y) | 0 : x - y,
  mul: (d, x, y) => isFloat(d) ? x * y : big(d, (a, b) => a * b, x, y),
  div: (d, x, y) => isFloat(d) ? x / y : y === 0 ? 0 : big(d, (a, b) => a / b, x, y),
  pow: (_, x, y) => x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y,
  mod: (d, x, y) => {
    if (!isFloat(d) && y === 0) return 0;
    const r = x % y;
    return r !== 0 && (r < 0) !== (y < 0) ? r + y : r;
  },
  max: (_, x, y) => Math.max(x, y),
  min: (_, x, y) => Math.min(x, y),
  lt: (_, x, y) => bool(x < y),
  le: (_, x, y) => bool(x <= y),
  eq: (_, x, y) => bool(x === y),
  and: (d, x, y) => big(d, (a, b) => a & b, x, y),
  or: (d, x, y) => big(d, (a, b) => a | b, x, y),
  xor: (d, x, y) => big(d, (a, b) => a ^ b, x, y),
  shl: (d, x, y) => y > 63 ? 0 : big(d, (a, b) => a << b, x, y),
  shr: (d, x, y) => y > 63 ? (x < 0 ? -1 : 0) : big(d, (a, b) => a >> b, x, y),
  where: (_, c, x, y) => c !== 0 ? x : y,
  randomBits: (_, c, low, high, offset) => philoxWords([c, offset, 0, 0], [low, high])[0] | 0,
};

const folds = {
  sum: [0, (a: number, b: number) => a + b],
  prod: [1, (a: number, b: number) => a * b],
  max: [-Infinity, Math.max],
  min: [Infinity, Math.min],
} as const;

// Floats of 16 bits are computed in float32 and rounded only where they are stored or cast.
const arithmetic = (d: DType): DType => d === "float16" || d === "bfloat16" ? "float32" : d;

function* indices(sizes: readonly number[]): Generator<number[]> {
  if (sizes.length === 0) yield [];
  else {for (let i = 0; i < sizes[0]; i++) {
      for (const rest of indices(sizes.slice(1))) yield [i, ...rest];
    }}
}

/** Runs a kernel on buffers held as numbers, in place; returns the last index out of range, if any. */
export function interpret(
  kernel: Kernel,
  extent: number,
  buffers: number[][],
): { index: number; size: number } | undefined {
  const { values, outer, reduce, stores } = kernel, full = fullValues(kernel);
  let bad: { index: number; size: number } | undefined;
  for (const point of indices([extent, ...outer.slice(1)])) {
    const rowMemo = new Map<number, number>();
    const locate = (a: Address, at: readonly number[], memo: Map<number, number>) =>
      a.dynamic.reduce((sum, t) => {
        const i = value(t.value, at, memo);
        if (i >= 0 && i < t.size) return sum + i * t.stride;
        bad = { index: i, size: t.size };
        return sum;
      }, a.strides.reduce((sum, s, d) => sum + s * (at[d] ?? 0), a.offset));
    const compute = (v: Value, at: readonly number[], memo: Map<number, number>): number => {
      switch (v.kind) {
        case "const":
          return roundTo(v.dtype, v.value);
        case "index":
          return v.strides.reduce((sum, s, d) => sum + s * (at[d] ?? 0), v.offset);
        case "load":
          return buffers[v.address.buffer][locate(v.address, at, memo)];
        case "op": {
          const y = means[v.op](v.dtype, ...v.args.map((a) => value(a, at, memo)));
          return roundTo(v.op === "cast" ? v.dtype : arithmetic(v.dtype), y);
        }
        case "reduce": {
          const [start, fold] = folds[v.op];
          let sum: number = start;
          for (const row of indices(reduce)) {
            sum = fold(sum, value(v.arg, [...point, ...row], new Map()));
          }
          return roundTo(arithmetic(v.dtype), sum);
        }
      }
    };
    const value = (id: number, at: readonly number[], memo: Map<number, number>): number => {
      const m = full[id] ? memo : rowMemo;
      let x = m.get(id);
      if (x === undefined) m.set(id, x = compute(values[id], at, memo));
      return x;
    };
    const writes: (() => void)[] = [];
    const plan = (level: "row" | "full", at: number[]) => {
      const memo = new Map<number, number>();
      for (const s of stores) {
        if (s.level !== level) continue;
        const x = value(s.value, at, memo), to = locate(s.address, at, memo);
        const b = buffers[s.address.buffer], { dtype } = kernel.buffers[s.address.buffer];
        writes.push(() => b[to] = roundTo(dtype, s.mode === "add" ? b[to] + x : x));
      }
    };
    for (const row of indices(reduce)) plan("full", [...point, ...row]);
    plan("row", point);
    for (const write of writes) write();
  }
  return bad;
}

/** Numbers to a host array of the dtype. */
export function encode(dtype: DType, x: readonly number[]): HostArray {
  const out = dtypes[dtype].array(x.length) as unknown as { [i: number]: number | bigint };
  x.forEach((v, i) => out[i] = codecs[dtype].encode(v));
  return out as unknown as HostArray;
}

/** A host array as numbers. */
export function decode(dtype: DType, x: HostArray): number[] {
  return Array.from(x as ArrayLike<number | bigint>, codecs[dtype].decode);
}

/** Result of {@linkcode runModule}. */
export interface Run {
  readonly buffers: number[][];
  readonly bad: { index: number; size: number } | undefined;
  readonly parallel: boolean;
}

const GUARD = 0xa5;

/** Compiles and runs a kernel on copies of buffers, in chunks of the first dimension when it may be split; checks the bytes between buffers. */
export function runModule(
  kernel: Kernel,
  extent: number,
  buffers: readonly (readonly number[])[],
  chunk = Infinity,
): Run {
  const { bytes, scratchBytes, parallel } = lowerKernel(kernel);
  const encoded = buffers.map((b, i) => encode(kernel.buffers[i].dtype, b));
  const ends: number[] = [];
  let top = 1024;
  const places = encoded.map(({ byteLength }) => {
    const ptr = top;
    ends.push(ptr + byteLength);
    top = Math.ceil(ends[ends.length - 1] / 64) * 64 + 64;
    return ptr;
  });
  const initial = Math.ceil((top + scratchBytes + 4096) / 65536);
  const memory = new WebAssembly.Memory({ initial, maximum: 65536, shared: true });
  const u8 = new Uint8Array(memory.buffer).fill(GUARD);
  u8.fill(0, 0, 64);
  const views = encoded.map((data, i) => {
    const view = dtypes[kernel.buffers[i].dtype].array(data.length, memory.buffer, places[i]);
    (view as Float32Array).set(data as Float32Array);
    return view;
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    e: { m: memory, ...mathImports },
  });
  const run = exports.run as (...a: number[]) => void;
  const step = parallel ? chunk : Infinity;
  for (let i = 0; i < extent || i === 0; i += step) {
    run(i, Math.min(extent, i + step), top, ...places);
  }
  const gaps = [[64, places[0] ?? 1024], ...ends.map((end, i) => [end, places[i + 1] ?? top])];
  gaps.push([top + scratchBytes, top + scratchBytes + 2048]);
  for (const [from, to] of gaps) {
    if (u8.subarray(from, to).some((b) => b !== GUARD)) {
      throw new Error(`Bytes ${from} to ${to}, outside the buffers, were written`);
    }
  }
  kernel.buffers.forEach(({ access, dtype }, i) => {
    if (access !== "read") return;
    const bits = (x: HostArray) =>
      new Uint8Array(x.buffer as ArrayBuffer, x.byteOffset, x.byteLength);
    const now = bits(views[i]), then = bits(encoded[i]);
    if (now.some((b, at) => b !== then[at])) throw new Error(`Input ${i} (${dtype}) was written`);
  });
  const [flag, index, size] = new Int32Array(memory.buffer, 16, 3);
  return {
    buffers: views.map((view, i) => decode(kernel.buffers[i].dtype, view)),
    bad: flag === 0 ? undefined : { index, size },
    parallel,
  };
}

/** How far apart results may be, in absolute terms and relative to the wanted one. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** Compares outputs of both sides; NaN equals NaN, and zeros of both signs are equal. */
export function compareRuns(
  kernel: Kernel,
  extent: number,
  buffers: readonly (readonly number[])[],
  tolerance: Tolerance = { absolute: 1e-6, relative: 4e-6 },
  chunk = Infinity,
): Run {
  const want = buffers.map((b, i) =>
    decode(kernel.buffers[i].dtype, encode(kernel.buffers[i].dtype, b))
  );
  const wantBad = interpret(kernel, extent, want);
  const got = runModule(kernel, extent, buffers, chunk);
  if ((wantBad === undefined) !== (got.bad === undefined)) {
    throw new Error(`Index error: got ${JSON.stringify(got.bad)}, want ${JSON.stringify(wantBad)}`);
  }
  kernel.buffers.forEach(({ dtype, access }, b) => {
    if (access === "read") return;
    const unit = { float16: 2 ** -10, bfloat16: 2 ** -7 }[dtype as string] ?? 0;
    want[b].forEach((w, i) => {
      const g = got.buffers[b][i];
      const limit = isFloat(dtype)
        ? tolerance.absolute + (tolerance.relative + unit) * Math.abs(w)
        : 0;
      if (Object.is(w, g) || w === g || (Number.isNaN(w) && Number.isNaN(g))) return;
      if (!(Math.abs(w - g) <= limit)) {
        throw new Error(`Buffer ${b} (${dtype}) at ${i}: got ${g}, want ${w}\n${kernel.key}`);
      }
    });
  });
  return got;
}
