/** Every primitive and every method of tensors, each beside a direct formula on plain arrays. One table: its length is the number of its rows. */
import { arange, cat, rand, stack, type Tensor, tensor, where } from "@pta/core";
import { erf, meaning } from "../core/meaning.ts";
import type { OpName } from "../core/ops.ts";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

/** Interval that test values are drawn from, away from poles, kinks and ties. */
export type Domain = readonly [number, number];

/** One row of the matrix. */
export interface Case {
  readonly name: string;
  /** Methods of tensors that the row proves; its name by default. */
  readonly covers: readonly string[];
  readonly fn: (...x: Tensor[]) => Tensor;
  readonly expect: (...x: Plain[]) => Plain;
  /** One for each input. */
  readonly domains: readonly Domain[];
  /** What the inputs hold. */
  readonly kind: "float" | "int" | "bool";
  /** Whether a gradient is checked. */
  readonly gradient: boolean;
  /** Whether inputs broadcast against each other; else all have one shape. */
  readonly broadcasts: boolean;
  /** Least number of dimensions. */
  readonly rank: number;
  /** Whether an input without elements is fine. */
  readonly empty: boolean;
  /** Tolerance in float32 where the usual one is too narrow, with the reason at the row. */
  readonly float32?: { atol?: number; rtol?: number };
}

type Options = Partial<Omit<Case, "name" | "fn" | "expect">>;

const usual: Domain = [-2, 2];

function row(
  name: string,
  fn: (...x: Tensor[]) => Tensor,
  expect: (...x: Plain[]) => Plain,
  options: Options = {},
): Case {
  return {
    name,
    fn,
    expect,
    covers: [name],
    domains: [usual],
    kind: "float",
    gradient: (options.kind ?? "float") === "float",
    broadcasts: false,
    rank: 0,
    empty: true,
    ...options,
  };
}

const unary = (
  name: string,
  fn: (x: Tensor) => Tensor,
  f: (x: number) => number,
  options: Options = {},
) => row(name, fn, (x) => plain.zip(f, x), options);

const binary = (
  name: string,
  fn: (a: Tensor, b: Tensor) => Tensor,
  f: (a: number, b: number) => number,
  options: Options = {},
) =>
  row(name, fn, (a, b) => plain.zip(f, a, b), {
    domains: [usual, usual],
    broadcasts: true,
    ...options,
  });

const positive: Domain = [0.3, 3], flat = { gradient: false };
const truth = (x: boolean) => x ? 1 : 0;
const ints = { kind: "int", domains: [[-9, 9], [-9, 9]] } as const;
const bools = { kind: "bool", domains: [[0, 2], [0, 2]] } as const;
const floorMod = (a: number, b: number) => a - b * Math.floor(a / b);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** The row that proves each primitive. A primitive without one does not compile. */
export const primitiveCases: Readonly<Record<OpName, Case>> = {
  neg: unary("neg", (x) => x.neg(), (x) => -x),
  abs: unary("abs", (x) => x.abs(), Math.abs),
  exp: unary("exp", (x) => x.exp(), Math.exp),
  log: unary("log", (x) => x.log(), Math.log, { domains: [positive] }),
  sqrt: unary("sqrt", (x) => x.sqrt(), Math.sqrt, { domains: [positive] }),
  sin: unary("sin", (x) => x.sin(), Math.sin, { domains: [[-9, 9]] }),
  cos: unary("cos", (x) => x.cos(), Math.cos, { domains: [[-9, 9]] }),
  tanh: unary("tanh", (x) => x.tanh(), Math.tanh),
  erf: unary("erf", (x) => x.erf(), erf),
  floor: unary("floor", (x) => x.floor(), Math.floor, { ...flat, domains: [[-9, 9]] }),
  round: unary("round", (x) => x.mul(0.5).round(), (x) => meaning.round("float64", x * 0.5), {
    ...ints,
    kind: "float",
    domains: [[-9, 9]],
    ...flat,
  }),
  trunc: unary("trunc", (x) => x.trunc(), Math.trunc, { ...flat, domains: [[-9, 9]] }),
  not: unary("bitwiseNot", (x) => x.bitwiseNot(), (x) => ~x, { kind: "int", domains: [[-9, 9]] }),
  cast: unary("to", (x) => x.to("int32").to(x.dtype), Math.trunc, {
    ...flat,
    domains: [[-9, 9]],
    covers: ["to", "int"],
  }),
  add: binary("add", (a, b) => a.add(b, { alpha: 3 }), (a, b) => a + 3 * b),
  sub: binary("sub", (a, b) => a.sub(b, { alpha: 2 }), (a, b) => a - 2 * b),
  mul: binary("mul", (a, b) => a.mul(b), (a, b) => a * b),
  div: binary("div", (a, b) => a.div(b), (a, b) => a / b, { domains: [usual, positive] }),
  pow: binary("pow", (a, b) => a.pow(b), Math.pow, { domains: [positive, usual] }),
  mod: binary("remainder", (a, b) => a.remainder(b), floorMod, { domains: [[0.1, 0.9], [1.1, 3]] }),
  max: binary("maximum", (a, b) => a.maximum(b), Math.max),
  min: binary("minimum", (a, b) => a.minimum(b), Math.min),
  lt: binary("lt", (a, b) => a.lt(b), (a, b) => truth(a < b), flat),
  le: binary("le", (a, b) => a.le(b), (a, b) => truth(a <= b), { ...ints }),
  eq: binary("eq", (a, b) => a.eq(b), (a, b) => truth(a === b), {
    ...ints,
    domains: [[0, 3], [0, 3]],
  }),
  and: binary("bitwiseAnd", (a, b) => a.bitwiseAnd(b), (a, b) => a & b, ints),
  or: binary("bitwiseOr", (a, b) => a.bitwiseOr(b), (a, b) => a | b, ints),
  xor: binary("bitwiseXor", (a, b) => a.bitwiseXor(b), (a, b) => a ^ b, ints),
  shl: binary("bitwiseLeftShift", (a, b) => a.bitwiseLeftShift(b), (a, b) => a << b, {
    kind: "int",
    domains: [[-9, 9], [0, 5]],
  }),
  shr: binary("bitwiseRightShift", (a, b) => a.bitwiseRightShift(b), (a, b) => a >> b, {
    kind: "int",
    domains: [[-99, 99], [0, 5]],
  }),
  where: binary("where", (a, b) => where(a.lt(b), a.mul(2), b), (a, b) => a < b ? 2 * a : b),
  // The numbers themselves are held against published vectors in rng_test.ts; here: nothing outside [0, 1).
  randomBits: unary(
    "rand",
    (x) => {
      const r = rand(x.shape, { device: x.device });
      return r.ge(0).logicalAnd(r.lt(1)).to(x.dtype);
    },
    () => 1,
    { ...flat, covers: [] },
  ),
};

const mean = (r: readonly number[]) => sum(r) / r.length;
const sum = (r: readonly number[]) => r.reduce((a, b) => a + b, 0);
const product = (r: readonly number[]) => r.reduce((a, b) => a * b, 1);
const variance = (r: readonly number[], correction = 1) => {
  const m = mean(r);
  return sum(r.map((x) => (x - m) ** 2)) / Math.max(0, r.length - correction);
};
const logsumexp = (r: readonly number[]) => Math.log(sum(r.map(Math.exp)));
const last = (x: Plain) => x.shape.length - 1;

/** Reductions over the last, the first and all dimensions. */
const reduction = (
  name: string,
  fn: (x: Tensor, dims: number | number[] | undefined, keepdim: boolean) => Tensor,
  f: (row: number[]) => number,
  options: Options = {},
): Case[] => [
  row(`${name} of rows`, (x) => fn(x, -1, false), (x) => plain.reduce(f, x, [last(x)]), {
    rank: 1,
    ...options,
    covers: options.covers ?? [name],
  }),
  row(`${name} of columns`, (x) => fn(x, 0, true), (x) => plain.reduce(f, x, [0], true), {
    rank: 1,
    ...options,
    covers: [],
  }),
  row(`${name} of all`, (x) => fn(x, undefined, false), (x) => plain.reduce(f, x), {
    ...options,
    covers: [],
  }),
];

const softmax = (x: Plain, d: number) => {
  const e = plain.zip(Math.exp, x);
  return plain.zip((a, b) => a / b, e, plain.reduce(sum, e, [d], true));
};
const indexOf = (pick: (r: number[]) => number) => (r: number[]) => r.indexOf(pick(r));

/** What is composed of primitives, reductions, movement, indexing and products. */
const composites: readonly Case[] = [
  binary("gt", (a, b) => a.gt(b), (a, b) => truth(a > b), flat),
  binary("ge", (a, b) => a.ge(b), (a, b) => truth(a >= b), ints),
  binary("ne", (a, b) => a.ne(b), (a, b) => truth(a !== b), { ...ints, domains: [[0, 3], [0, 3]] }),
  binary("floorDivide", (a, b) => a.floorDivide(b), (a, b) => Math.floor(a / b), {
    kind: "int",
    domains: [[-20, 20], [1, 6]],
  }),
  binary("integer remainder", (a, b) => a.remainder(b), floorMod, {
    kind: "int",
    domains: [[-20, 20], [1, 6]],
    covers: [],
  }),
  binary("logicalAnd", (a, b) => a.logicalAnd(b), (a, b) => truth(a !== 0 && b !== 0), bools),
  binary("logicalOr", (a, b) => a.logicalOr(b), (a, b) => truth(a !== 0 || b !== 0), bools),
  binary("logicalXor", (a, b) => a.logicalXor(b), (a, b) => truth((a !== 0) !== (b !== 0)), bools),
  unary("logicalNot", (x) => x.logicalNot(), (x) => truth(x === 0), {
    kind: "bool",
    domains: [[0, 2]],
  }),
  unary("bool", (x) => x.bool(), (x) => truth(x !== 0), { kind: "int", domains: [[-2, 2]] }),
  unary("float", (x) => x.float(), (x) => x, { kind: "int", domains: [[-9, 9]] }),
  unary("double", (x) => x.double(), (x) => x, { kind: "int", domains: [[-9, 9]] }),
  unary("long", (x) => x.long(), Math.trunc, { ...flat, domains: [[-9, 9]] }),
  unary("log2", (x) => x.log2(), Math.log2, { domains: [positive] }),
  unary("log1p", (x) => x.log1p(), Math.log1p, { domains: [[-0.9, 2]] }),
  unary("expm1", (x) => x.expm1(), Math.expm1),
  unary("rsqrt", (x) => x.rsqrt(), (x) => 1 / Math.sqrt(x), { domains: [positive] }),
  unary("square", (x) => x.square(), (x) => x * x),
  unary("reciprocal", (x) => x.reciprocal(), (x) => 1 / x, { domains: [positive] }),
  unary("ceil", (x) => x.ceil(), Math.ceil, { ...flat, domains: [[-9, 9]] }),
  unary("sign", (x) => x.sign(), Math.sign, flat),
  unary("isnan", (x) => x.div(x.floor().mul(0)).isnan(), () => 0, { ...flat, domains: [[1.1, 3]] }),
  unary("isinf", (x) => x.div(x.floor().mul(0)).isinf(), () => 1, { ...flat, domains: [[1.1, 3]] }),
  unary("isfinite", (x) => x.isfinite(), () => 1, flat),
  unary("sigmoid", (x) => x.sigmoid(), sigmoid),
  unary("relu", (x) => x.relu(), (x) => Math.max(x, 0)),
  unary("gelu", (x) => x.gelu(), (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))),
  unary(
    "gelu by tanh",
    (x) => x.gelu({ approximate: "tanh" }),
    (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    { covers: [] },
  ),
  unary("silu", (x) => x.silu(), (x) => x * sigmoid(x)),
  unary("softplus", (x) => x.softplus({ beta: 2 }), (x) => Math.log1p(Math.exp(2 * x)) / 2),
  unary("leakyRelu", (x) => x.leakyRelu(0.1), (x) => x > 0 ? x : 0.1 * x),
  unary("elu", (x) => x.elu(0.7), (x) => x > 0 ? x : 0.7 * Math.expm1(x)),
  unary(
    "clamp",
    (x) => x.clamp({ min: -1.03, max: 0.51 }),
    (x) => Math.min(Math.max(x, -1.03), 0.51),
  ),
  binary("lerp", (a, b) => a.lerp(b, 0.3), (a, b) => a + 0.3 * (b - a)),
  binary("maskedFill", (a, b) => a.add(b.mul(0)).maskedFill(b.gt(0), 5), (a, b) => b > 0 ? 5 : a),
  unary("pow of 3", (x) => x.pow(3), (x) => x ** 3, { covers: [] }),
  unary("pow of -1", (x) => x.pow(-1), (x) => 1 / x, { domains: [positive], covers: [] }),
  unary("pow of 2.5", (x) => x.pow(2.5), (x) => x ** 2.5, { domains: [positive], covers: [] }),

  ...reduction("sum", (x, d, k) => x.sum(d, k), sum),
  ...reduction("mean", (x, d, k) => x.mean(d, k), mean, { empty: false }),
  ...reduction("prod", (x, d, k) => x.prod(d, k), product, { domains: [positive] }),
  ...reduction("amax", (x, d, k) => x.amax(d, k), (r) => Math.max(...r), { empty: false }),
  ...reduction("amin", (x, d, k) => x.amin(d, k), (r) => Math.min(...r), { empty: false }),
  ...reduction("any", (x, d, k) => x.any(d, k), (r) => truth(r.some((v) => v !== 0)), bools1()),
  ...reduction("all", (x, d, k) => x.all(d, k), (r) => truth(r.every((v) => v !== 0)), bools1()),
  ...reduction("norm", (x, d, k) => x.norm(2, d, k), (r) => Math.sqrt(sum(r.map((v) => v * v))), {
    empty: false,
  }),
  ...reduction("logsumexp", (x, d, k) => x.logsumexp(d, k), logsumexp, { empty: false }),
  ...reduction("var", (x, d, k) => x.var(d, { keepdim: k, correction: 0 }), (r) => variance(r, 0), {
    empty: false,
  }),
  row(
    "var, unbiased",
    (x) => x.add(x.detach().cos()).var(),
    (x) => plain.reduce(variance, plain.zip((v) => v + Math.cos(v), x)),
    {
      rank: 1,
      empty: false,
      covers: [],
      gradient: false,
    },
  ),
  row(
    "std",
    (x) => x.std(-1, { correction: 0 }),
    (x) => plain.reduce((r) => Math.sqrt(variance(r, 0)), x, [last(x)]),
    {
      rank: 1,
      empty: false,
      // The deviation of equal values, as expanded rows have, has no gradient.
      gradient: false,
    },
  ),
  row(
    "countNonzero",
    (x) => x.countNonzero(),
    (x) => plain.reduce((r) => r.filter((v) => v !== 0).length, x),
    {
      ...bools1(),
    },
  ),
  ...reduction(
    "argmax",
    (x, d, k) => x.argmax(d as number | undefined, k),
    indexOf((r) => Math.max(...r)),
    { ...flat, empty: false },
  ),
  ...reduction(
    "argmin",
    (x, d, k) => x.argmin(d as number | undefined, k),
    indexOf((r) => Math.min(...r)),
    { ...flat, empty: false },
  ),
  row("max", (x) => x.max(), (x) => plain.reduce((r) => Math.max(...r), x), { empty: false }),
  row("min", (x) => x.min(), (x) => plain.reduce((r) => Math.min(...r), x), { empty: false }),
  row("softmax", (x) => x.softmax(-1), (x) => softmax(x, last(x)), { rank: 1, empty: false }),
  row("softmax of columns", (x) => x.softmax(0), (x) => softmax(x, 0), {
    rank: 1,
    empty: false,
    covers: [],
  }),
  row("logSoftmax", (x) => x.logSoftmax(-1), (x) => plain.zip(Math.log, softmax(x, last(x))), {
    rank: 1,
    empty: false,
  }),

  row("reshape", (x) => x.reshape(-1, 1), (x) => plain.reshape(x, [x.data.length, 1]), {
    empty: false,
  }),
  row(
    "view",
    (x) => x.contiguous().view([...x.shape, 1]),
    (x) => plain.reshape(x, [...x.shape, 1]),
    {
      covers: ["view", "contiguous"],
    },
  ),
  row("flatten", (x) => x.flatten(), (x) => plain.reshape(x, [x.data.length])),
  row("unflatten", (x) => x.unflatten(0, [1, -1]), (x) => plain.reshape(x, [1, ...x.shape]), {
    rank: 1,
    empty: false,
  }),
  row(
    "permute",
    (x) => x.permute(x.shape.map((_, d) => x.ndim - 1 - d)),
    (x) => plain.permute(x, x.shape.map((_, d) => last(x) - d)),
  ),
  row("transpose", (x) => x.transpose(0, -1), (x) => x.shape.length < 2 ? x : swap(x, 0, last(x)), {
    rank: 1,
  }),
  row("mT", (x) => x.mT, (x) => swap(x, last(x) - 1, last(x)), { rank: 2 }),
  row("t", (x) => x.reshape(-1, 1).t(), (x) => plain.reshape(x, [1, x.data.length]), {
    empty: false,
  }),
  row(
    "expand",
    (x) => x.unsqueeze(0).expand([3, ...x.shape]),
    (x) => plain.expand(x, [3, ...x.shape]),
  ),
  row(
    "broadcastTo",
    (x) => x.broadcastTo([2, ...x.shape]),
    (x) => plain.expand(x, [2, ...x.shape]),
  ),
  row(
    "squeeze",
    (x) => x.unsqueeze(-1).squeeze(),
    (x) => plain.reshape(x, x.shape.filter((s) => s !== 1)),
  ),
  row("unsqueeze", (x) => x.unsqueeze(-1), (x) => plain.reshape(x, [...x.shape, 1])),
  row(
    "narrow",
    (x) => x.narrow(-1, 1, x.shape[x.ndim - 1] - 1),
    (x) => plain.slice(x, last(x), 1, x.shape[last(x)]),
    {
      rank: 1,
      empty: false,
    },
  ),
  row(
    "slice",
    (x) => x.slice(-1, 0, -1, 2),
    (x) => plain.slice(x, last(x), 0, x.shape[last(x)] - 1, 2),
    {
      rank: 1,
      empty: false,
    },
  ),
  row(
    "select",
    (x) => x.select(0, -1),
    (x) => plain.reshape(plain.slice(x, 0, x.shape[0] - 1, x.shape[0]), x.shape.slice(1)),
    {
      rank: 1,
      empty: false,
    },
  ),
  row("chunk", (x) => cat(x.chunk(2, 0).reverse(), 0), (x) => {
    const half = Math.ceil(x.shape[0] / 2);
    return plain.cat([plain.slice(x, 0, half, x.shape[0]), plain.slice(x, 0, 0, half)], 0);
  }, { rank: 1, empty: false }),
  row("split", (x) => cat(x.split(2, -1).reverse(), -1), (x) => {
    const d = last(x), n = x.shape[d], parts: Plain[] = [];
    for (let i = 0; i < n; i += 2) parts.unshift(plain.slice(x, d, i, Math.min(i + 2, n)));
    return plain.cat(parts, d);
  }, { rank: 1, empty: false }),
  row(
    "unbind",
    (x) => stack(x.unbind(0), -1),
    (x) => plain.permute(x, [...x.shape.slice(1).map((_, d) => d + 1), 0]),
    {
      rank: 1,
      empty: false,
    },
  ),
  row("flip", (x) => x.flip(0), (x) => plain.flip(x, [0]), { rank: 1 }),
  row(
    "pad",
    (x) => x.pad([2, 1], 0.5),
    (x) => plain.pad(x, x.shape.map((_, d) => d === last(x) ? [2, 1] : [0, 0]), 0.5),
    {
      rank: 1,
      empty: false,
    },
  ),
  row(
    "pad, cutting",
    (x) => x.pad([-1, 2]),
    (x) =>
      plain.pad(
        plain.slice(x, last(x), 1, x.shape[last(x)]),
        x.shape.map((_, d) => d === last(x) ? [0, 2] : [0, 0]),
        0,
      ),
    {
      rank: 1,
      empty: false,
      covers: [],
    },
  ),
  row("repeat", (x) => x.repeat([2, ...x.shape.map(() => 2)]), (x) => {
    let out = plain.reshape(x, [1, ...x.shape]);
    for (let d = 0; d < out.shape.length; d++) out = plain.cat([out, out], d);
    return out;
  }, { empty: false }),
  row("clone", (x) => x.clone(), (x) => x),
  row("cat", (a, b) => cat([a, b, a], 0), (a, b) => plain.cat([a, b, a], 0), {
    rank: 1,
    domains: [usual, usual],
    covers: [],
    empty: false,
  }),
  row(
    "stack",
    (a, b) => stack([a, b], -1),
    (a, b) => plain.cat([a, b].map((x) => plain.reshape(x, [...x.shape, 1])), a.shape.length),
    {
      domains: [usual, usual],
      covers: [],
      empty: false,
    },
  ),

  row(
    "indexSelect",
    (x) => x.indexSelect(0, tensor(Int32Array.of(1, 0, 1), { device: x.device })),
    (x) => {
      const rows = [1, 0, 1].map((i) => plain.slice(x, 0, i, i + 1));
      return plain.cat(rows, 0);
    },
    { rank: 1, empty: false },
  ),
  row("gather", (x) => x.gather(-1, wheel(x)), (x) => plain.gather(x, last(x), plainWheel(x)), {
    rank: 1,
    empty: false,
  }),
  row(
    "scatterAdd",
    (a, b) => a.scatterAdd(-1, wheel(a), b),
    (a, b) => plain.scatterAdd(a, last(a), plainWheel(a), b),
    {
      rank: 1,
      domains: [usual, usual],
      empty: false,
    },
  ),

  row(
    "matmul",
    (a, b) => a.matmul(b.mT),
    (a, b) => plain.matmul(a, swap(b, last(b) - 1, last(b))),
    {
      rank: 2,
      domains: [usual, usual],
      empty: false,
    },
  ),
  row("mm", (a, b) => a.mT.mm(b), (a, b) => plain.matmul(swap(a, 0, 1), b), {
    rank: 2,
    domains: [usual, usual],
    empty: false,
  }),
  row(
    "bmm",
    (a, b) => a.unsqueeze(0).bmm(b.mT.unsqueeze(0)),
    (a, b) =>
      plain.matmul(
        plain.reshape(a, [1, ...a.shape]),
        plain.reshape(swap(b, 0, 1), [1, b.shape[1], b.shape[0]]),
      ),
    {
      rank: 2,
      domains: [usual, usual],
      empty: false,
    },
  ),
  row(
    "dot",
    (a, b) => a.flatten().dot(b.flatten()),
    (a, b) => ({ shape: [], data: [sum(a.data.map((v, i) => v * b.data[i]))] }),
    {
      domains: [usual, usual],
      empty: false,
    },
  ),
  row(
    "outer",
    (a, b) => a.flatten().outer(b.flatten()),
    (a, b) => plain.build([a.data.length, b.data.length], ([i, j]) => a.data[i] * b.data[j]),
    { domains: [usual, usual], empty: false },
  ),
];

function bools1(): Options {
  return { kind: "bool", domains: [[0, 2]] };
}

function swap(x: Plain, a: number, b: number): Plain {
  return plain.permute(x, x.shape.map((_, d) => d === a ? b : d === b ? a : d));
}

/** An index of the shape of `x` whose entries repeat and run through the last dimension. */
function wheel(x: Tensor): Tensor {
  const n = x.shape[x.ndim - 1];
  const ramp = arange(0, x.numel, 1, { dtype: "int32", device: x.device }).reshape(x.shape);
  return ramp.mul(2).add(1).remainder(Math.max(1, n - 1)).to("int64");
}
function plainWheel(x: Plain): Plain {
  const n = x.shape[last(x)];
  return { shape: x.shape, data: x.data.map((_, i) => (2 * i + 1) % Math.max(1, n - 1)) };
}

/** All rows. */
export const cases: readonly Case[] = [...Object.values(primitiveCases), ...composites];

/** Methods that neither a row nor a golden adapter calls: the test file that proves each, or why it computes nothing. */
export const exceptions: Readonly<Record<string, string>> = {
  constructor: "made by every row",
  node: "not for users",
  keepGrad: "not for users",
  describe: "the text of errors",
  shape: "read by every assertion",
  device: "read by every assertion",
  numel: "read by every assertion",
  toString: "called by String(x) in tiny_test.ts, among others",
  withGradient: "softmax is made by it",
  realize: "lifetime_test.ts",
  isContiguous: "views_test.ts",
  requiresGrad: "grad_test.ts",
  requiresGrad_: "grad_test.ts",
  isLeaf: "grad_test.ts",
  grad: "grad_test.ts",
  backward: "grad_test.ts",
  toArray: "tiny_test.ts",
  assign: "assign_test.ts",
  copy_: "tiny_test.ts",
  fill_: "tiny_test.ts",
  dispose: "lifetime_test.ts",
  allReduce: "fake_comm_test.ts",
  isFloatingPoint: "dtype_test.ts",
  maskedFill_: "write_test.ts",
  maskedScatter_: "write_test.ts",
  scatter_: "write_test.ts",
  scatterAdd_: "write_test.ts",
  indexAdd_: "write_test.ts",
  indexCopy_: "write_test.ts",
  indexFill_: "write_test.ts",
  indexPut_: "write_test.ts",
  bernoulli_: "random_test.ts",
  random_: "random_test.ts",
  ger: "aliases_test.ts",
  inverse: "aliases_test.ts",
  moveaxis: "aliases_test.ts",
  swapaxes: "aliases_test.ts",
  swapdims: "aliases_test.ts",
};
