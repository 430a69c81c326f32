/** Every primitive over every dtype as generated code, with the values that tend to go wrong. */
import { assert, assertEquals } from "@std/assert";
import { fitsLanes } from "../core/backend/wasm/lower.ts";
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import { type OpName, ops } from "../core/ops.ts";
import { KernelBuilder } from "./kernel_builder.ts";
import { compareRuns, means, philoxWords, runModule } from "./kernel_interpreter.ts";

const all = Object.keys(dtypes) as DType[];
const floats = all.filter((d) => dtypes[d].kind === "float");
const integers = all.filter((d) => dtypes[d].kind === "int");
const kinds: Record<string, DType[]> = {
  float: floats,
  number: [...floats, ...integers],
  integral: [...integers, "bool"],
  any: all,
};

const specials: Record<"float" | "int32" | "uint8" | "bool", number[]> = {
  // deno-fmt-ignore
  float: [
    0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 10, -10, 88, -88, 1e-3, 6.1e-5, 1e-6, 1e-40, -1e-45, 1.17549435e-38, 255,
    65504, 65519, 65520, 1e5, -1e5, 3e38, -3e38, Infinity, -Infinity, NaN,
  ],
  int32: [0, 1, -1, 2, -2, 3, 7, -7, 100, 12345, 2 ** 31 - 1, -(2 ** 31)],
  uint8: [0, 1, 2, 3, 7, 100, 200, 255],
  bool: [0, 1],
};
const valuesOf = (d: DType): number[] =>
  dtypes[d].kind === "float"
    ? specials.float
    : d === "uint8" || d === "bool"
    ? specials[d]
    : specials.int32;

/** All combinations of operand values, as columns. */
function columns(lists: readonly number[][]): number[][] {
  let rows: number[][] = [[]];
  for (const list of lists) rows = rows.flatMap((r) => list.map((x) => [...r, x]));
  return lists.map((_, i) => rows.map((r) => r[i]));
}

const exact = { absolute: 0, relative: 0 };
const tolerances: Partial<Record<OpName, number>> = {
  exp: 2e-7,
  log: 2e-7,
  sin: 3e-7,
  cos: 3e-7,
  tanh: 3e-7,
  erf: 1e-6,
  pow: 4e-7,
};

const amount = (op: OpName) => op === "shl" || op === "shr";

for (const op of Object.keys(ops) as OpName[]) {
  if (op === "cast" || op === "randomBits") continue;
  const facts = ops[op];
  Deno.test(`lowered ${op}`, () => {
    for (const dtype of kinds[facts.kinds]) {
      const types: DType[] = op === "where"
        ? ["bool", dtype, dtype]
        : Array(facts.arity).fill(dtype);
      if (dtype === "bool" && amount(op)) continue;
      const lists = types.map((d, i) => amount(op) && i === 1 ? [0, 1, 5, 31] : valuesOf(d));
      const data = columns(lists), n = data[0].length;
      const b = new KernelBuilder([n]);
      b.store(b.op(op, ...types.map((d) => b.load(d, [1]))), [1]);
      const relative = tolerances[op];
      const tolerance = relative === undefined ? exact : {
        absolute: op === "erf" ? 4e-7 : 1e-43,
        relative: dtype === "float64" ? 1e-13 : relative,
      };
      compareRuns(b.build(), n, [...data, Array(n).fill(0)], tolerance, 48);
    }
  });
}

Deno.test("lowered shifts by constants and by more than the width", () => {
  for (const op of ["shl", "shr"] as const) {
    for (const by of [0, 3, 31, 32, 40]) {
      for (const known of [true, false]) {
        const b = new KernelBuilder([12]);
        const x = b.load("int32", [1]);
        b.store(b.op(op, x, known ? b.const(by, "int32") : b.load("int32", [0])), [1]);
        const data = [specials.int32, ...(known ? [] : [[by]]), Array(12).fill(0)];
        compareRuns(b.build(), 12, data, exact);
      }
    }
  }
});

Deno.test("lowered minimum and maximum with a constant keep NaN", () => {
  for (const op of ["max", "min"] as const) {
    for (const first of [true, false]) {
      const n = specials.float.length, b = new KernelBuilder([n]);
      const x = b.load("float32", [1]), c = b.const(0);
      b.store(first ? b.op(op, c, x) : b.op(op, x, c), [1]);
      compareRuns(b.build(), n, [specials.float, Array(n).fill(0)], exact);
    }
  }
});

Deno.test("lowered casts between all dtypes", () => {
  for (const from of all) {
    for (const to of all) {
      // What a float outside the range of an integer becomes is not defined.
      const limit = to === "uint8" ? [-0.5, 255.5] : [-(2 ** 31), 2 ** 31 - 1];
      const whole = dtypes[to].kind === "int" && dtypes[from].kind === "float";
      const list = valuesOf(from).filter((x) =>
        !whole || (roundTo(from, x) >= limit[0] && roundTo(from, x) <= limit[1])
      );
      const b = new KernelBuilder([list.length]);
      b.store(b.cast(b.load(from, [1]), to), [1]);
      compareRuns(b.build(), list.length, [list, list.map(() => 0)], exact);
    }
  }
});

Deno.test("float16 and bfloat16 survive loading and storing, all 65536 of them", () => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    const b = new KernelBuilder([65536]);
    b.store(b.load(dtype, [1]), [1]);
    const bits = new Uint16Array(65536).map((_, i) => i);
    const wide = (u: number) => new Float32Array(new Uint32Array([u << 16]).buffer)[0];
    const list = dtype === "float16"
      ? Array.from(new Float16Array(bits.buffer))
      : Array.from(bits, wide);
    compareRuns(b.build(), 65536, [list, list.map(() => 0)], exact);
  }
});

Deno.test("float32 is rounded to the nearest float16 and bfloat16, ties to even", () => {
  for (const dtype of ["float16", "bfloat16"] as const) {
    const random = new Uint32Array(20000);
    for (let i = 0; i < random.length; i++) random[i] = philoxWords([i, 0, 0, 0], [7, 0])[0];
    // Half of them with few digits, where ties are.
    for (let i = 0; i < random.length; i += 2) {
      random[i] &= dtype === "float16" ? 0xfffff000 : 0xffff8000;
    }
    const list = Array.from(new Float32Array(random.buffer));
    const b = new KernelBuilder([list.length]);
    b.store(b.cast(b.load("float32", [1]), dtype), [1]);
    compareRuns(b.build(), list.length, [list, list.map(() => 0)], exact);
  }
});

/** Distance in units in the last place of float32. */
function ulps(got: number, want: number): number {
  const rounded = Math.fround(want);
  if (Object.is(got, rounded) || (Number.isNaN(got) && Number.isNaN(want))) return 0;
  const unit = 2 ** Math.max(-149, Math.floor(Math.log2(Math.abs(want) || 2 ** -149)) - 23);
  return Math.abs(got - want) / unit;
}

const ranges: [OpName, number, number, number][] = [
  ["exp", -87, 88, 1.2],
  ["exp", -0.5, 0.5, 1.2],
  ["log", 0.5, 2, 1.5],
  ["log", 1e-30, 1e30, 1],
  ["tanh", -1, 1, 2],
  ["tanh", -10, 10, 2],
  ["erf", -4, 4, 8],
  ["sin", -3, 3, 1.6],
  ["sin", -8000, 8000, 1.6],
  ["sin", -9e5, 9e5, 2],
  ["sin", -1e9, 1e9, 1],
  ["cos", -3, 3, 2],
  ["cos", -8000, 8000, 2],
];

Deno.test("vector functions are right to one or two units in the last place", () => {
  for (const [op, low, high, limit] of ranges) {
    const n = 20000,
      list = Array.from({ length: n }, (_, i) => {
        const u = philoxWords([i, 0, 0, 0], [3, 0])[0] / 2 ** 32;
        return Math.fround(
          low > 0 && high / low > 1e6 ? low * (high / low) ** u : low + (high - low) * u,
        );
      });
    const b = new KernelBuilder([n]);
    b.store(b.op(op, b.load("float32", [1])), [1]);
    const got = runModule(b.build(), n, [list, list.map(() => 0)]).buffers[1];
    let worst = 0, at = 0;
    list.forEach((x, i) => {
      const error = ulps(got[i], means[op]("float32", x));
      if (error > worst) [worst, at] = [error, x];
    });
    assert(worst <= limit, `${op} on [${low}, ${high}]: ${worst.toFixed(2)} ulps at ${at}`);
  }
});

Deno.test("powers are right to two units in the last place, with large exponents too", () => {
  const n = 20000, draw = (i: number, k: number) => philoxWords([i, 0, 0, 0], [k, 0])[0] / 2 ** 32;
  const x = Array.from({ length: n }, (_, i) => Math.fround(2 ** (20 * draw(i, 1) - 10)));
  const y = Array.from({ length: n }, (_, i) => Math.fround(40 * draw(i, 2) - 20));
  const b = new KernelBuilder([n]);
  b.store(b.op("pow", b.load("float32", [1]), b.load("float32", [1])), [1]);
  const got = runModule(b.build(), n, [x, y, x]).buffers[2];
  let worst = 0, at = 0;
  got.forEach((g, i) => {
    const want = x[i] ** y[i];
    if (want < 1e-37 || want > 3e38) return;
    const error = ulps(g, want);
    if (error > worst) [worst, at] = [error, i];
  });
  assert(worst <= 2, `${worst.toFixed(2)} ulps at ${x[at]} ** ${y[at]}`);
});

Deno.test("exp reaches the subnormals, and log comes back from them", () => {
  const list = [-88, -90, -95, -100, -103.2, -103.9, -104, -200];
  const b = new KernelBuilder([list.length]);
  b.store(b.op("exp", b.load("float32", [1])), [1]);
  const got = runModule(b.build(), list.length, [list, list]).buffers[1];
  list.forEach((x, i) =>
    assert(Math.abs(got[i] - Math.exp(x)) <= 1.5 * 2 ** -149, `exp(${x}) = ${got[i]}`)
  );
  const tiny = [1e-38, 1e-40, 1e-44, 2 ** -149].map(Math.fround);
  const l = new KernelBuilder([tiny.length]);
  l.store(l.op("log", l.load("float32", [1])), [1]);
  const logs = runModule(l.build(), tiny.length, [tiny, tiny]).buffers[1];
  tiny.forEach((x, i) => assert(ulps(logs[i], Math.log(x)) <= 1, `log(${x}) = ${logs[i]}`));
});

const vectors = [
  [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
  [[-1, -1, -1, -1], [-1, -1], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
] as const;

Deno.test("the interpreter's Philox gives the vectors of Random123", () => {
  for (const [counter, key, want] of vectors) {
    assertEquals(philoxWords([...counter], [...key]), [...want]);
  }
});

Deno.test("random bits of both paths are those of Philox", () => {
  const n = 37, list = Array.from({ length: n }, (_, i) => (i * 0x9e3779b1) | 0);
  const [low, high] = [0xa4093822 | 0, 0x299f31d0], offset = -5;
  for (const scalar of [false, true]) {
    const b = new KernelBuilder([n]);
    const words = [low, high, offset].map((x) => b.const(x, "int32"));
    b.store(b.op("randomBits", b.load("int32", [1]), ...words), [1]);
    const buffers = [list, list.map(() => 0)];
    if (scalar) {
      b.store(b.cast(b.index([1]), "float64"), [1]);
      buffers.push(list.map(() => 0));
    }
    const kernel = b.build();
    assertEquals(fitsLanes(kernel), !scalar);
    const { buffers: [, got] } = compareRuns(kernel, n, buffers, exact);
    assertEquals(got[0] >>> 0, philoxWords([0, offset, 0, 0], [low, high])[0]);
  }
  // All four counter words at once are out of reach of kernels; two of them are zero.
  const b = new KernelBuilder([1]);
  const zero = b.const(0, "int32");
  b.store(b.op("randomBits", zero, zero, zero, zero), [1]);
  assertEquals(runModule(b.build(), 1, [[0]]).buffers[0][0] >>> 0, 0x6627e8d5);
});
