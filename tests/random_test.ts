/** Distributions: equal draws on every device, and the moments and distribution functions they should have. */
import { assert, assertEquals } from "@std/assert";
import {
  bernoulli,
  empty,
  fullLike,
  linspace,
  logspace,
  manualSeed,
  multinomial,
  normal,
  randint,
  randintLike,
  randLike,
  randnLike,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { devices, eachDevice, missing, on } from "./devices.ts";

const count = 40_000;

/** Error function complement, to 1e-7 (Abramowitz and Stegun, 7.1.26). */
function normalCdf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x) / Math.SQRT2);
  const poly = t * (0.254829592 +
    t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - poly * Math.exp(-x * x / 2);
  return x < 0 ? (1 - erf) / 2 : (1 + erf) / 2;
}

/** A distribution: how it is drawn, and its distribution function. */
const continuous: Record<string, { draw: () => Tensor; cdf: (x: number) => number }> = {
  uniform: { draw: () => empty([count]).uniform_(-2, 3), cdf: (x) => (x + 2) / 5 },
  normal: { draw: () => empty([count]).normal_(1, 3), cdf: (x) => normalCdf((x - 1) / 3) },
  "normal of tensors": {
    draw: () => normal(zeros([count]).add(1), tensor([2])),
    cdf: (x) => normalCdf((x - 1) / 2),
  },
  "log-normal": {
    draw: () => empty([count]).logNormal_(0.5, 0.7),
    cdf: (x) => normalCdf((Math.log(x) - 0.5) / 0.7),
  },
  exponential: { draw: () => empty([count]).exponential_(1.5), cdf: (x) => -Math.expm1(-1.5 * x) },
  cauchy: {
    draw: () => empty([count]).cauchy_(-1, 2),
    cdf: (x) => Math.atan((x + 1) / 2) / Math.PI + 0.5,
  },
};

eachDevice("continuous draws follow their distribution function", () => {
  for (const [name, { draw, cdf }] of Object.entries(continuous)) {
    manualSeed(11);
    const sorted = numbers(draw()).sort((a, b) => a - b);
    const gap = sorted.reduce((worst, x, i) => {
      const p = cdf(x);
      return Math.max(worst, Math.abs(p - i / count), Math.abs(p - (i + 1) / count));
    }, 0);
    // Kolmogorov and Smirnov: beyond 1.95 / sqrt(n) with probability 0.001.
    assert(gap < 1.95 / Math.sqrt(count), `${name}: ${gap}`);
  }
});

/** Whole-number draws and the probability of each value. */
const discrete: Record<string, { draw: () => Tensor; p: readonly number[]; first: number }> = {
  geometric: {
    draw: () => empty([count]).geometric_(0.4),
    p: Array.from({ length: 8 }, (_, i) => 0.6 ** i * 0.4),
    first: 1,
  },
  bernoulli: { draw: () => empty([count]).bernoulli_(0.3), p: [0.7, 0.3], first: 0 },
  "bernoulli of tensors": {
    draw: () => fullLike(zeros([count]), 0.2).bernoulli(),
    p: [0.8, 0.2],
    first: 0,
  },
  random: { draw: () => empty([count]).random_(-2, 3), p: [0.2, 0.2, 0.2, 0.2, 0.2], first: -2 },
  "multinomial with replacement": {
    draw: () => multinomial(tensor([1, 0, 3, 4]), count, { replacement: true }),
    p: [1 / 8, 0, 3 / 8, 1 / 2],
    first: 0,
  },
  "the first of multinomial without replacement": {
    draw: () => multinomial(tensor([1, 0, 3, 4]).expand(count, 4), 2).select(1, 0),
    p: [1 / 8, 0, 3 / 8, 1 / 2],
    first: 0,
  },
  "the second of multinomial without replacement": {
    draw: () => multinomial(tensor([1, 0, 3, 4]).expand(count, 4), 2).select(1, 1),
    // The sum over first categories j of p(j) * w(i) / (8 - w(j)).
    p: [3 / 8 / 5 + 1 / 2 / 4, 0, 1 / 8 * 3 / 7 + 1 / 2 * 3 / 4, 1 / 8 * 4 / 7 + 3 / 8 * 4 / 5],
    first: 0,
  },
};

eachDevice("discrete draws have their probabilities", () => {
  for (const [name, { draw, p, first }] of Object.entries(discrete)) {
    manualSeed(5);
    const drawn = numbers(draw());
    p.forEach((want, i) => {
      const got = drawn.filter((x) => x === first + i).length / count;
      // Four and a half deviations of a binomial.
      const allowed = 4.5 * Math.sqrt(want * (1 - want) / count);
      assert(Math.abs(got - want) <= allowed, `${name} ${first + i}: ${got}, expected ${want}`);
    });
    assert(drawn.every((x) => Number.isInteger(x) && x >= first), name);
  }
});

Deno.test("every device draws the same numbers from one seed", () => {
  const draws: Record<string, () => Tensor> = {
    ...Object.fromEntries(
      [...Object.entries(continuous), ...Object.entries(discrete)].map(([k, v]) => [k, v.draw]),
    ),
    randLike: () => randLike(zeros([3, 5])),
    randnLike: () => randnLike(zeros([3, 5], { dtype: "float64" })),
    randintLike: () => randintLike(zeros([3, 5]), 2, 9),
    "randint of a wide range": () => randint(-1e12, 1e12, [50]),
    "bernoulli of probabilities": () => bernoulli(linspace(0, 1, 9)),
  };
  const present = devices.filter((d) => missing(d) === undefined);
  for (const [name, draw] of Object.entries(draws)) {
    const [first, ...rest] = present.map((device) =>
      on(device, () => {
        manualSeed(3);
        return numbers(draw());
      })
    );
    for (const other of rest) closeNumbers(other, first, { atol: 1e-4, rtol: 1e-4 }, name);
  }
});

eachDevice("draws without replacement never repeat a category", () => {
  manualSeed(1);
  const rows = multinomial(linspace(0, 1, 10).expand(200, 10), 9).toArray() as number[][];
  for (const row of rows) assertEquals([...row].sort((a, b) => a - b), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

eachDevice("wide ranges of whole numbers use all bits", () => {
  manualSeed(2);
  const drawn = numbers(randint(0, 2 ** 40, [2000]));
  assertEquals(new Set(drawn.map((x) => x % 2 ** 16)).size > 1900, true);
  assert(drawn.every((x) => x >= 0 && x < 2 ** 40));
});

eachDevice("evenly spaced numbers reach both ends exactly", () => {
  const x = numbers(linspace(-0.3, 0.7, 1001));
  assertEquals([x[0], x[1000]], [-0.3, 0.7].map(Math.fround));
  closeNumbers(x, Array.from({ length: 1001 }, (_, i) => -0.3 + i / 1000), { atol: 1e-7 });
  assertEquals(numbers(linspace(0, 10, 5, { dtype: "int64" })), [0, 2, 5, 7, 10]);
  closeNumbers(numbers(logspace(-2, 2, 5)), [0.01, 0.1, 1, 10, 100], { rtol: 1e-6 });
  closeNumbers(numbers(logspace(0, 8, 9, 2)), [1, 2, 4, 8, 16, 32, 64, 128, 256], { rtol: 1e-6 });
});

const errors: readonly (readonly [() => unknown, new (m: string) => Error, string])[] = [
  [() => empty([2]).uniform_(1, 0), RangeError, "Cannot draw from [1, 0): it is empty"],
  [
    () => empty([2], { dtype: "int32" }).normal_(),
    TypeError,
    "Cannot draw normal numbers into int32: a float dtype is needed",
  ],
  [
    () => empty([2]).exponential_(0),
    RangeError,
    "Cannot draw exponential numbers with rate 0: it must be above 0",
  ],
  [
    () => empty([2]).geometric_(1),
    RangeError,
    "Cannot draw with probability 1: it must lie between 0 and 1",
  ],
  [
    () => normal(0, -1, [2]),
    RangeError,
    "Cannot draw normal numbers with deviation -1: it must be 0 or more",
  ],
  [
    () => normal(0, 1),
    TypeError,
    "Cannot draw normal numbers: give a shape, or tensors as mean or deviation",
  ],
  [
    () => multinomial(tensor([1, 2]), 3),
    RangeError,
    "Cannot draw 3 of [2] without replacement: there are 2 categories",
  ],
  [
    () => multinomial(zeros([2], { dtype: "int64" }), 1),
    TypeError,
    "Cannot draw from weights [2] int64 on ref: floats of 1 or 2 dimensions are needed",
  ],
  [
    () => linspace(0, 1, -1),
    RangeError,
    "Cannot make -1 evenly spaced numbers: the count is whole and not negative",
  ],
];

Deno.test("bad arguments of draws are refused at the call", () => {
  on("ref", () => {
    for (const [fn, type, message] of errors) throwsExactly(fn, type, message);
  });
});
