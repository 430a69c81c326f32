/** Reductions beside direct formulas. */
import type { Tensor } from "@pta/core";
import { type Case, flat, last, type Options, positive, row, sum, truth } from "./case.ts";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

const mean = (r: readonly number[]) => sum(r) / r.length;
const product = (r: readonly number[]) => r.reduce((a, b) => a * b, 1);
const variance = (r: readonly number[], correction = 1) => {
  const m = mean(r);
  return sum(r.map((x) => (x - m) ** 2)) / Math.max(0, r.length - correction);
};
const logsumexp = (r: readonly number[]) => Math.log(sum(r.map(Math.exp)));

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

const bools: Options = { kind: "bool", domains: [[0, 2]] };

export const reductionCases: readonly Case[] = [
  ...reduction("sum", (x, d, k) => x.sum(d, k), sum),
  ...reduction("mean", (x, d, k) => x.mean(d, k), mean, { empty: false }),
  ...reduction("prod", (x, d, k) => x.prod(d, k), product, { domains: [positive] }),
  ...reduction("amax", (x, d, k) => x.amax(d, k), (r) => Math.max(...r), { empty: false }),
  ...reduction("amin", (x, d, k) => x.amin(d, k), (r) => Math.min(...r), { empty: false }),
  ...reduction("any", (x, d, k) => x.any(d, k), (r) => truth(r.some((v) => v !== 0)), bools),
  ...reduction("all", (x, d, k) => x.all(d, k), (r) => truth(r.every((v) => v !== 0)), bools),
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
      ...bools,
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
];
