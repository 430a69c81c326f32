/** Kernels by hand for printed CUDA C: every primitive over every dtype, and rows, columns and stores of all sizes and forms. */
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import { type OpName, ops, type ReduceOp } from "../core/ops.ts";
import { type Sample, sampleOf } from "./cuda_kernels.ts";
import { KernelBuilder } from "./kernel_builder.ts";

/** A kernel with data, and how exact its results must be. */
export interface HandKernel {
  readonly name: string;
  readonly sample: Sample;
  readonly limit: { readonly absolute: number; readonly relative: number };
}

const all = Object.keys(dtypes) as DType[];
const floats = all.filter((d) => dtypes[d].kind === "float");
const integers = all.filter((d) => dtypes[d].kind === "int");
const kinds: Record<string, DType[]> = {
  float: floats,
  number: [...floats, ...integers],
  integral: [...integers, "bool"],
  any: all,
};
const exact = { absolute: 0, relative: 0 };
const close = { absolute: 1e-6, relative: 4e-6 };

// deno-fmt-ignore
const floatValues = [
  0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 10, -10, 88, -88, 1e-3, 6.1e-5, 1e-6, 1e-40, -1e-45, 255, 65504, 65519, 65520, 1e5,
  3e38, -3e38, Infinity, -Infinity, NaN,
];
const wholeValues = [0, 1, -1, 2, -2, 3, 7, -7, 100, 12345, 2 ** 31 - 1, -(2 ** 31)];
const valuesOf = (d: DType): number[] =>
  dtypes[d].kind === "float"
    ? floatValues
    : d === "bool"
    ? [0, 1]
    : d === "uint8"
    ? [0, 1, 2, 3, 7, 100, 200, 255]
    : wholeValues;

/** All combinations of operand values, as columns. */
function columns(lists: readonly number[][]): number[][] {
  let rows: number[][] = [[]];
  for (const list of lists) rows = rows.flatMap((r) => list.map((x) => [...r, x]));
  return lists.map((_, i) => rows.map((r) => r[i]));
}

/** Primitives that a library computes, and how far its float32 is from the exact result. */
const inexact: Partial<Record<OpName, number>> = {
  exp: 3e-7,
  log: 3e-7,
  sin: 3e-7,
  cos: 3e-7,
  tanh: 3e-7,
  erf: 3e-7,
  pow: 3e-7,
};
/** The largest int64 products and shifts have more bits than the reference holds. */
const within53 = (op: OpName, dtype: DType, list: number[]) =>
  dtype === "int64" && (op === "mul" || op === "shl")
    ? list.filter((x) => Math.abs(x) < 2 ** 20)
    : list;

function opKernels(): HandKernel[] {
  return (Object.keys(ops) as OpName[]).flatMap((op) => {
    if (op === "cast" || op === "randomBits") return [];
    const facts = ops[op], shifts = op === "shl" || op === "shr";
    return kinds[facts.kinds].filter((d) => !(d === "bool" && shifts)).map((dtype): HandKernel => {
      const types: DType[] = op === "where"
        ? ["bool", dtype, dtype]
        : Array(facts.arity).fill(dtype);
      const lists = types.map((d, i) =>
        shifts && i === 1 ? [0, 1, 5, 31] : within53(op, dtype, valuesOf(d))
      );
      const data = columns(lists), n = data[0].length, b = new KernelBuilder([n]);
      b.store(b.op(op, ...types.map((d) => b.load(d, [1]))), [1]);
      const relative = inexact[op];
      const limit = relative === undefined
        ? exact
        : { absolute: 1e-44, relative: dtype === "float64" ? 1e-14 : relative };
      return { name: `${op} ${dtype}`, sample: sampleOf(b.build(), n, [...data, zeros(n)]), limit };
    });
  });
}

const zeros = (n: number): number[] => new Array(n).fill(0);
const ramp = (n: number, scale = 1): number[] =>
  Array.from({ length: n }, (_, i) => scale * 2 * Math.sin(i * 12.9898 + 1));

function castKernels(): HandKernel[] {
  return all.flatMap((from) =>
    all.map((to): HandKernel => {
      // What a float outside the range of an integer becomes is not defined.
      const limit = to === "uint8" ? [-0.5, 255.5] : [-(2 ** 31), 2 ** 31 - 1];
      const whole = dtypes[to].kind === "int" && dtypes[from].kind === "float";
      // Just above the middle of two float16 numbers, where rounding twice goes wrong.
      const near = from === "float64" ? [1 + 2 ** -11 + 2 ** -40, 1 + 3 * 2 ** -11 - 2 ** -40] : [];
      const list = [...valuesOf(from), ...near].filter((x) =>
        !whole || (roundTo(from, x) >= limit[0] && roundTo(from, x) <= limit[1])
      );
      const b = new KernelBuilder([list.length]);
      b.store(b.cast(b.load(from, [1]), to), [1]);
      const sample = sampleOf(b.build(), list.length, [list, zeros(list.length)]);
      return { name: `${from} to ${to}`, sample, limit: exact };
    })
  );
}

function randomKernels(): HandKernel[] {
  const n = 37, b = new KernelBuilder([n]);
  const words = [0xa4093822 | 0, 0x299f31d0, -5].map((x) => b.const(x, "int32"));
  b.store(b.op("randomBits", b.load("int32", [1]), ...words), [1]);
  const list = Array.from({ length: n }, (_, i) => (i * 0x9e3779b1) | 0);
  return [{ name: "Philox", sample: sampleOf(b.build(), n, [list, zeros(n)]), limit: exact }];
}

/** Every reduction of every dtype, of rows from empty to long, and over leading dimensions. */
function reductionKernels(): HandKernel[] {
  const out: HandKernel[] = [];
  for (const dtype of all) {
    for (const op of ["sum", "prod", "max", "min"] as ReduceOp[]) {
      for (const leading of [false, true]) {
        for (const n of [0, 1, 33, 64]) {
          // The reference knows no int64 beyond 2 ** 53, so an extreme of nothing differs.
          if (n === 0 && dtype === "int64") continue;
          const rows = 6, b = new KernelBuilder([rows], [n]);
          const x = b.load(dtype, leading ? [1, rows] : [n, 1]);
          b.store(b.reduced(op, x), [1, 0]);
          const list = Array.from(
            { length: rows * n },
            (_, i) =>
              dtypes[dtype].kind === "float"
                ? 1 + 0.1 * Math.sin(7 * i)
                : dtype === "bool"
                ? (i % 5 === 0 ? 1 : 0)
                : op === "prod"
                ? 1 + (i % 11 === 0 ? 1 : 0)
                : (i * 37) % 201,
          );
          const sample = sampleOf(b.build(), rows, [list, zeros(rows)]);
          out.push({
            name: `${op} ${dtype} of ${n}${leading ? " leading" : ""}`,
            sample,
            limit: close,
          });
        }
      }
    }
  }
  return out;
}

/** Softmax of rows, in place and not; the row is read in three stages. */
function softmaxKernels(): HandKernel[] {
  return [1, 3, 8, 31, 64, 100, 257].flatMap((n) =>
    [false, true].map((inPlace): HandKernel => {
      const rows = 5, b = new KernelBuilder([rows], [n]);
      const x = b.load("float32", [n, 1]);
      const e = b.op("exp", b.op("sub", x, b.reduced("max", x)));
      b.store(b.op("div", e, b.reduced("sum", e)), [n, 1], inPlace ? { buffer: 0 } : {});
      const data = [ramp(rows * n), ...(inPlace ? [] : [zeros(rows * n)])];
      const sample = sampleOf(b.build(), rows, data);
      return { name: `softmax of ${n}${inPlace ? " in place" : ""}`, sample, limit: close };
    })
  );
}

/** What is stored is also read: by a later stage, and by threads other than the one that stores. */
function rewritingKernels(): HandKernel[] {
  return [3, 40, 200, 1100].flatMap((n): HandKernel[] => {
    const rows = 5;
    // The first stage could store already, and the second would read what it stored.
    const early = new KernelBuilder([rows], [n]);
    const x = early.load("float32", [n, 1]);
    early.store(early.op("mul", x, early.const(2)), [n, 1], { buffer: 0 });
    early.store(early.op("sub", x, early.reduced("max", x)), [n, 1]);
    // All threads of a row read what its first one overwrites.
    const row = new KernelBuilder([rows], [n]);
    const y = row.load("float32", [n, 1]), scale = row.load("float32", [1, 0]);
    const most = row.reduced("max", y);
    row.store(row.op("mul", row.op("sub", y, most), scale), [n, 1]);
    row.store(row.op("add", most, scale), [1, 0], { buffer: 1 });
    const limit = close;
    return [
      {
        name: `row of ${n} rewritten early`,
        sample: sampleOf(early.build(), rows, [ramp(rows * n), zeros(rows * n)]),
        limit,
      },
      {
        name: `scale of a row of ${n} rewritten`,
        sample: sampleOf(row.build(), rows, [ramp(rows * n), ramp(rows), zeros(rows * n)]),
        limit,
      },
    ];
  });
}

/** Adding: scattered over computed places, to the columns of many rows, to one element; for every dtype. */
function addKernels(): HandKernel[] {
  return all.flatMap((dtype): HandKernel[] => {
    const wide = dtype === "bool" ? 0 : 1, n = 40, places = 7;
    const values = Array.from({ length: n * 4 }, (_, i) => (i % 3) * wide + (i % 17 === 0 ? 1 : 0));
    const scatter = new KernelBuilder([n, 4]);
    const index = scatter.load("int32", [1, 0]);
    scatter.store(scatter.load(dtype, [4, 1]), [0, 1], {
      mode: "add",
      dynamic: [{ value: index, stride: 4, size: places }],
    });
    const column = new KernelBuilder([n], [4]);
    const x = column.load(dtype, [4, 1]);
    column.store(x, [0, 1], { mode: "add" });
    column.store(column.reduced("max", x), [1, 0]);
    const one = new KernelBuilder([n], [4]);
    one.store(one.reduced("max", one.load(dtype, [4, 1])), [0, 0], { mode: "add" });
    const at = Array.from({ length: n }, (_, i) => (i * 5) % places), limit = close;
    return [
      {
        name: `scattered ${dtype}`,
        sample: sampleOf(scatter.build(), n, [at, values, zeros(places * 4)]),
        limit,
      },
      {
        name: `columns of ${dtype}`,
        sample: sampleOf(column.build(), n, [values, zeros(4), zeros(n)]),
        limit,
      },
      { name: `one ${dtype}`, sample: sampleOf(one.build(), n, [values, [wide]]), limit },
    ];
  });
}

/** Indices out of range, of int32 and int64, read and written. */
function indexKernels(): HandKernel[] {
  return (["int32", "int64"] as DType[]).flatMap((dtype) =>
    [[0, 1, 2, 4], [0, 1, 5, 4], [0, -1, 2, 3]].map((list): HandKernel => {
      const b = new KernelBuilder([list.length]);
      const index = b.load(dtype, [1]);
      const dynamic = [{ value: index, stride: 1, size: 5 }];
      b.store(b.load("float32", [0], { dynamic }), [1]);
      const sample = sampleOf(b.build(), list.length, [list, ramp(5), zeros(4)]);
      return { name: `index ${dtype} ${list}`, sample, limit: exact };
    })
  );
}

/** Sizes at which a launch takes several blocks, cuts rows, or sums columns in registers. */
function largeKernels(): HandKernel[] {
  const total = new KernelBuilder([1], [40000]);
  const x = total.load("float32", [0, 1]);
  const mean = total.op("mul", total.reduced("sum", x), total.const(1 / 40000));
  total.store(mean, [0, 0]);
  total.store(total.reduced("max", x), [0, 0]);
  total.store(total.op("mul", x, total.const(0.5)), [0, 1]);
  const leading = new KernelBuilder([40], [3000]);
  leading.store(leading.reduced("sum", leading.load("float32", [1, 40])), [1, 0]);
  // The gradients of a norm: a row-level result, a full one, and a sum over rows.
  const rows = 700, norm = new KernelBuilder([rows], [64]);
  const g = norm.load("bfloat16", [64, 1]), f = norm.cast(g, "float32");
  const centred = norm.op("sub", f, norm.reduced("sum", f));
  norm.store(norm.cast(centred, "bfloat16"), [64, 1]);
  norm.store(centred, [0, 1], { mode: "add" });
  norm.store(norm.reduced("max", centred), [1, 0]);
  const long = new KernelBuilder([3], [6000]);
  const y = long.load("float16", [6000, 1]), e = long.cast(y, "float32");
  const s = long.op("sub", e, long.reduced("max", e));
  long.store(long.op("div", s, long.reduced("sum", long.op("abs", s))), [6000, 1]);
  const points = new KernelBuilder([70001]);
  points.store(points.op("add", points.load("float32", [1]), points.load("float32", [0])), [1]);
  const loose = { absolute: 1e-3, relative: 1e-5 };
  const large = (
    name: string,
    b: KernelBuilder,
    extent: number,
    data: number[][],
    limit = close,
  ): HandKernel => ({ name, sample: sampleOf(b.build(), extent, data), limit });
  return [
    large("mean of 40000", total, 1, [ramp(40000), [0], [0], zeros(40000)]),
    large("sum of 3000 leading", leading, 40, [ramp(120000), zeros(40)], loose),
    large("norm of 700 rows", norm, rows, [
      ramp(rows * 64),
      zeros(rows * 64),
      zeros(64),
      zeros(rows),
    ], {
      absolute: 0.02,
      relative: 1e-5,
    }),
    large("rows of 6000", long, 3, [ramp(18000), zeros(18000)]),
    large("70001 points", points, 70001, [ramp(70001), [0.5], zeros(70001)]),
  ];
}

/** All kernels by hand. */
export function handKernels(): HandKernel[] {
  return [
    ...opKernels(),
    ...castKernels(),
    ...randomKernels(),
    ...reductionKernels(),
    ...softmaxKernels(),
    ...rewritingKernels(),
    ...addKernels(),
    ...indexKernels(),
    ...largeKernels(),
  ];
}
