/** Random programs on tensors and, beside them, on plain arrays: what each value is must not depend on when or how fused it is computed. */
import { cat, realize, type Tensor, tensor, where } from "@pta/core";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

/** A small seeded generator (mulberry32), independent of the library's own. */
export class Dice {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  int(n: number): number {
    return Math.floor(this.next() * n);
  }
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.int(i + 1);
      [list[i], list[j]] = [list[j], list[i]];
    }
    return list;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)];
  }
}

/** A value on both sides. */
export interface Pair {
  readonly t: Tensor;
  readonly p: Plain;
}

/** What a program runs with. */
export interface FuzzOptions {
  readonly device: string;
  readonly dtype: "float32" | "float64";
  /** Number of instructions. */
  readonly length: number;
  /** Whether programs change tensors in place. */
  readonly assigns: boolean;
  /** Makes leaves require gradients. */
  readonly gradients?: boolean;
  /** Moves every leaf by `step` times its direction, for finite differences. */
  readonly step?: number;
}

/** What a program computed: all values alive at its end, and its leaves with the directions they were moved in. */
export interface FuzzResult {
  readonly values: readonly Pair[];
  readonly leaves: readonly (Pair & { readonly direction: Plain })[];
  readonly text: readonly string[];
}

const shapes = [[], [3], [5], [2, 3], [3, 2], [4, 1], [1, 5], [2, 3, 4], [4, 3, 2], [3, 1, 2], [
  2,
  2,
  2,
  3,
]];

/** Runs the program of a seed. Equal seeds make equal programs whatever the options. */
export function runProgram(seed: number, options: FuzzOptions): FuzzResult {
  return new Program(seed, options).run();
}

type Maker = (program: Program, x: Pair) => Pair | undefined;

const gauss = (x: number) => Math.exp(-x * x);
/** Pointwise functions of one value that keep values small. */
const unary: readonly (readonly [string, (t: Tensor) => Tensor, (x: number) => number])[] = [
  ["tanh", (t) => t.tanh(), Math.tanh],
  ["sin", (t) => t.sin(), Math.sin],
  ["relu", (t) => t.relu(), (x) => Math.max(x, 0)],
  ["neg", (t) => t.neg(), (x) => -x],
  ["gauss", (t) => t.mul(t).neg().exp(), gauss],
  ["half", (t) => t.mul(0.5), (x) => x * 0.5],
  ["shift", (t) => t.add(0.25), (x) => x + 0.25],
  ["squash", (t) => t.div(t.abs().add(1)), (x) => x / (Math.abs(x) + 1)],
  ["root", (t) => t.mul(t).add(1).sqrt(), (x) => Math.sqrt(x * x + 1)],
];
const binary: readonly (readonly [
  string,
  (a: Tensor, b: Tensor) => Tensor,
  (a: number, b: number) => number,
])[] = [
  ["add", (a, b) => a.add(b).mul(0.5), (a, b) => (a + b) * 0.5],
  ["sub", (a, b) => a.sub(b), (a, b) => a - b],
  ["mul", (a, b) => a.mul(b.tanh()), (a, b) => a * Math.tanh(b)],
  ["max", (a, b) => a.maximum(b), Math.max],
  ["min", (a, b) => a.minimum(b), Math.min],
  ["where", (a, b) => where(a.lt(b), a, b.mul(1)), Math.min],
  ["div", (a, b) => a.div(b.mul(b).add(1)), (a, b) => a / (b * b + 1)],
];

/** One of the dims, some of them or all. */
function someDims(dice: Dice, rank: number): number[] {
  const dims = Array.from({ length: rank }, (_, d) => d).filter(() => dice.next() < 0.5);
  return dims.length > 0 ? dims : [dice.int(rank)];
}

const reductions: readonly (readonly [
  string,
  (t: Tensor, dims: number[], keep: boolean) => Tensor,
  (row: number[]) => number,
])[] = [
  ["sum", (t, d, k) => t.sum(d, k).mul(0.25), (r) => 0.25 * r.reduce((a, b) => a + b, 0)],
  ["mean", (t, d, k) => t.mean(d, k), (r) => r.reduce((a, b) => a + b, 0) / r.length],
  ["amax", (t, d, k) => t.amax(d, k), (r) => Math.max(...r)],
  ["amin", (t, d, k) => t.amin(d, k), (r) => Math.min(...r)],
  [
    "logsumexp",
    (t, d, k) => t.logsumexp(d, k),
    (r) => Math.log(r.reduce((a, b) => a + Math.exp(b), 0)),
  ],
];

const makers: Readonly<Record<string, Maker>> = {
  unary: ({ dice, say }, x) => {
    const [name, f, g] = dice.pick(unary);
    say(name);
    return { t: f(x.t), p: plain.zip(g, x.p) };
  },
  binary: ({ dice, say, partner }, x) => {
    const y = partner((shape) => broadcasts(shape, x.p.shape));
    const [name, f, g] = dice.pick(binary);
    say(`${name} [${y.p.shape}]`);
    return { t: f(x.t, y.t), p: plain.zip(g, x.p, y.p) };
  },
  reduce: ({ dice, say }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const [name, f, g] = dice.pick(reductions), dims = someDims(dice, x.p.shape.length);
    const keep = dice.next() < 0.5;
    say(`${name} ${dims} ${keep}`);
    return { t: f(x.t, dims, keep), p: plain.reduce(g, x.p, dims, keep) };
  },
  softmax: ({ dice, say }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const d = dice.int(x.p.shape.length), e = plain.zip(Math.exp, x.p);
    say(`softmax ${d}`);
    const sum = plain.reduce((r) => r.reduce((a, b) => a + b, 0), e, [d], true);
    return { t: x.t.softmax(d), p: plain.zip((a, b) => a / b, e, sum) };
  },
  normalize: ({ dice, say }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const d = dice.int(x.p.shape.length);
    say(`normalize ${d}`);
    const mean = (r: number[]) => r.reduce((a, b) => a + b, 0) / r.length;
    const centered = plain.zip((a, b) => a - b, x.p, plain.reduce(mean, x.p, [d], true));
    const v = plain.reduce((r) => mean(r.map((q) => q * q)), centered, [d], true);
    const c = x.t.sub(x.t.mean(d, true));
    return {
      t: c.div(c.mul(c).mean(d, true).add(0.5).sqrt()),
      p: plain.zip((a, b) => a / Math.sqrt(b + 0.5), centered, v),
    };
  },
  permute: ({ dice, say }, x) => {
    const dims = dice.shuffle(x.p.shape.map((_, d) => d));
    say(`permute ${dims}`);
    return { t: x.t.permute(dims), p: plain.permute(x.p, dims) };
  },
  reshape: ({ dice, say }, x) => {
    const n = x.p.data.length;
    const options = [
      [n],
      [1, n],
      [n, 1],
      ...[2, 3, 4].filter((k) => n % k === 0).flatMap((k) => [[k, n / k], [n / k, k]]),
    ];
    const shape = dice.pick(options);
    say(`reshape ${shape}`);
    return { t: x.t.reshape(shape), p: plain.reshape(x.p, shape) };
  },
  slice: ({ dice, say }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const d = dice.int(x.p.shape.length), size = x.p.shape[d];
    const start = dice.int(size), end = start + 1 + dice.int(size - start), step = 1 + dice.int(3);
    say(`slice ${d} ${start} ${end} ${step}`);
    return { t: x.t.slice(d, start, end, step), p: plain.slice(x.p, d, start, end, step) };
  },
  flip: ({ dice, say }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const dims = someDims(dice, x.p.shape.length);
    say(`flip ${dims}`);
    return { t: x.t.flip(dims), p: plain.flip(x.p, dims) };
  },
  expand: ({ dice, say }, x) => {
    const shape = [
      ...(dice.next() < 0.3 ? [2] : []),
      ...x.p.shape.map((s) => s === 1 && dice.next() < 0.7 ? 3 : s),
    ];
    if (shape.reduce((a, b) => a * b, 1) > 200) return undefined;
    say(`expand ${shape}`);
    return { t: x.t.expand(shape), p: plain.expand(x.p, shape) };
  },
  pad: ({ dice, say }, x) => {
    const widths = x.p.shape.map(() => [dice.int(3) - 0, dice.int(2)] as const);
    if (x.p.data.length > 60) return undefined;
    say(`pad ${widths.join("|")}`);
    return { t: x.t.pad([...widths].reverse().flat(), 0.5), p: plain.pad(x.p, widths, 0.5) };
  },
  cat: ({ dice, say, partner }, x) => {
    if (x.p.shape.length === 0 || x.p.data.length > 60) return undefined;
    const d = dice.int(x.p.shape.length);
    const y = partner(
      (s) => s.length === x.p.shape.length && s.every((n, i) => i === d || n === x.p.shape[i]),
      [...x.p.shape],
    );
    say(`cat ${d} [${y.p.shape}]`);
    return { t: cat([x.t, y.t, x.t], d), p: plain.cat([x.p, y.p, x.p], d) };
  },
  matmul: ({ dice, say, partner, leaf }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const k = x.p.shape[x.p.shape.length - 1];
    const fits = (s: readonly number[]) =>
      s.length <= 3 && (s.length === 1 ? s[0] === k : s.length > 1 && s[s.length - 2] === k) &&
      broadcasts(s.slice(0, -2), x.p.shape.slice(0, -2));
    const y = dice.next() < 0.5 ? leaf([k, 1 + dice.int(4)]) : partner(fits, [k]);
    say(`matmul [${y.p.shape}]`);
    return { t: x.t.matmul(y.t).mul(0.5), p: plain.zip((v) => v * 0.5, plain.matmul(x.p, y.p)) };
  },
  gather: ({ dice, say, options }, x) => {
    if (x.p.shape.length === 0) return undefined;
    const d = dice.int(x.p.shape.length), n = 1 + dice.int(4);
    const list = Array.from({ length: n }, () => dice.int(x.p.shape[d]));
    const shape = x.p.shape.map((s, i) => i === d ? n : s);
    const index = plain.build(shape, (i) => list[i[d]]);
    say(`indexSelect ${d} ${list}`);
    const t = tensor(Int32Array.from(list), { device: options.device });
    return { t: x.t.indexSelect(d, t), p: plain.gather(x.p, d, index) };
  },
  scatter: ({ dice, say, options }, x) => {
    if (x.p.shape.length === 0 || x.p.data.length > 60) return undefined;
    const d = dice.int(x.p.shape.length);
    const index = plain.build(x.p.shape, () => dice.int(x.p.shape[d]));
    say(`scatterAdd ${d}`);
    const t = tensor(Int32Array.from(index.data), { device: options.device }).reshape(x.p.shape);
    const src = plain.zip((v) => v * 0.5, x.p);
    return { t: x.t.scatterAdd(d, t, x.t.mul(0.5)), p: plain.scatterAdd(x.p, d, index, src) };
  },
};

function broadcasts(a: readonly number[], b: readonly number[]): boolean {
  const rank = Math.max(a.length, b.length);
  let total = 1;
  for (let d = 0; d < rank; d++) {
    const x = a[d - rank + a.length] ?? 1, y = b[d - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return false;
    total *= Math.max(x, y);
  }
  return total <= 200;
}

class Program {
  readonly dice: Dice;
  readonly #pool: Pair[] = [];
  readonly #states: { t: Tensor; p: Plain }[] = [];
  readonly #leaves: (Pair & { direction: Plain })[] = [];
  readonly #text: string[] = [];

  constructor(seed: number, readonly options: FuzzOptions) {
    this.dice = new Dice(seed);
  }

  readonly say = (text: string): void => {
    this.#text.push(text);
  };

  readonly leaf = (shape: readonly number[]): Pair => {
    const { dtype, device, gradients, step = 0 } = this.options;
    const direction = plain.build(shape, () => this.dice.next() - 0.5);
    const base = plain.build(shape, () => Math.fround(this.dice.next() * 2 - 1));
    const p = plain.zip((x, d) => x + step * d, base, direction);
    const t = tensor(Float64Array.from(p.data), { dtype, device }).reshape(shape).realize();
    if (gradients) t.requiresGrad = true;
    this.#leaves.push({ t, p, direction });
    return { t, p };
  };

  /** A value of the pool whose shape fits, or a new leaf. */
  readonly partner = (fits: (shape: readonly number[]) => boolean, otherwise?: number[]): Pair => {
    const list = this.#pool.filter((v) => fits(v.p.shape));
    if (list.length > 0 && this.dice.next() < 0.85) return this.dice.pick(list);
    const options = shapes.filter(fits);
    return this.leaf(options.length > 0 ? this.dice.pick(options) : otherwise ?? [1]);
  };

  #assign(): void {
    const s = this.dice.pick(this.#states);
    const list = this.#pool.filter((v) => v.p.shape.join() === s.p.shape.join());
    const value = list.length > 0 && this.dice.next() < 0.8
      ? this.dice.pick(list)
      : { t: s.t, p: s.p };
    this.say(`state ${this.#states.indexOf(s)} [${s.p.shape}] = 0.5 * itself + value`);
    const old = s.p;
    if (this.dice.next() < 0.5) s.t.assign(s.t.mul(0.5).add(value.t));
    else s.t.assign(value.t.mul(1).add(s.t.mul(0.5)));
    s.p = plain.zip((a, b) => 0.5 * a + b, old, value.p);
    this.#pool.push({ t: s.t.mul(1), p: s.p });
  }

  #step(): void {
    const { dice } = this;
    if (this.options.assigns && dice.next() < 0.15) return this.#assign();
    const recent = this.#pool.slice(-4);
    const x = dice.next() < 0.6 ? dice.pick(recent) : dice.pick(this.#pool);
    const name = dice.pick(Object.keys(makers));
    const before = this.#text.length;
    const made = makers[name](this, x);
    if (made === undefined || made.p.data.length > 400) {
      this.#text.length = before;
      return;
    }
    this.#text[this.#text.length - 1] += ` of [${x.p.shape}] -> [${made.p.shape}]`;
    this.#pool.push(made);
    // Values that nobody holds have no memory of their own, which is the case worth testing.
    if (this.#pool.length > 6 && dice.next() < 0.7) {
      this.#pool.splice(dice.int(this.#pool.length - 2), 1);
    }
  }

  run(): FuzzResult {
    const { dice, options } = this;
    for (let i = 0; i < 3; i++) this.#pool.push(this.leaf(dice.pick(shapes)));
    if (options.assigns) {
      for (let i = 0; i < 2; i++) {
        const made = this.leaf(dice.pick(shapes));
        this.#states.push({ t: made.t, p: made.p });
        this.#pool.push({ t: made.t.mul(1), p: made.p });
      }
    }
    for (let i = 0; i < options.length; i++) {
      this.#step();
      if (options.assigns && dice.next() < 0.08) {
        this.say("realize");
        realize(...this.#pool.map((v) => v.t), ...this.#states.map((s) => s.t));
      }
    }
    const values = [...this.#pool, ...this.#states];
    return { values, leaves: this.#leaves, text: this.#text };
  }
}
