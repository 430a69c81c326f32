/** Calls of every routine that the CUDA backend has kernels for, with data and, by plain loops, results. */
import { plainTable } from "../core/backend/plain/mod.ts";
import type { Operand, RoutineCall, RoutineParams, ScanOp } from "../core/device.ts";
import { type DType, dtypes, roundTo } from "../core/dtype.ts";
import {
  encodeFloat8,
  float8Bytes,
  type Float8Factor,
  float8Place,
} from "../core/float8_format.ts";
import { contiguousStrides } from "../core/shape.ts";
import type { KernelRoutineName } from "../core/backend/cuda/routine_table.ts";

/** A call with data: the last operand is the output, what it holds before included. */
export interface RoutineCase {
  readonly label: string;
  readonly call: RoutineCall<KernelRoutineName>;
  readonly data: readonly number[][];
  /** What the output holds afterwards; undefined where an index is out of range. */
  readonly want: ArrayLike<number> | undefined;
  /** Largest error beside rounding to the dtype, relative to 1 plus the size of the number. */
  readonly limit: number;
}

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const operand = (
  dtype: DType,
  shape: readonly number[],
  strides: readonly number[] = contiguousStrides(shape),
  offset = 0,
): Operand => ({ dtype, shape, strides, offset });

/** Numbers from -2 to 2, the same ones each time. */
function random(seed: number): () => number {
  let state = seed * 2654435761 >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 30 - 2;
  };
}

const limits: Partial<Record<DType, number>> = {
  float32: 1e-5,
  float64: 1e-12,
  float16: 2e-3,
  bfloat16: 1.6e-2,
};

function filled(dtype: DType, count: number, next: () => number): number[] {
  const scale = dtypes[dtype].kind === "float" ? 1 : dtype === "bool" ? 0.5 : 5;
  return Array.from({ length: count }, () => {
    const x = next() * scale;
    return roundTo(dtype, dtypes[dtype].kind === "float" ? x : Math.abs(Math.round(x)));
  });
}

let plain: ReturnType<typeof plainTable> | undefined;
/** Runs the plain loops of a routine. */
function reference(call: RoutineCall<KernelRoutineName>, data: readonly number[][]): Float64Array {
  const out = Float64Array.from(data.at(-1)!);
  plain ??= plainTable((_name, run) => (given, buffers) => ({
    start: () =>
      run(
        given.params,
        given.operands.map((o, i) => ({
          ...o,
          data: (buffers as unknown as Float64Array[])[i],
        })),
      ),
  }));
  const buffers = [...data.slice(0, -1), out] as never;
  plain[call.name as "scan"](call as never, buffers).start();
  return out;
}

const cases: RoutineCase[] = [];

function add<R extends KernelRoutineName>(
  name: R,
  params: RoutineParams[R],
  operands: readonly Operand[],
  data: readonly number[][],
  about = "",
): void {
  const call = { name, params, operands } as unknown as RoutineCall<KernelRoutineName>;
  const out = operands[operands.length - 1];
  const all = [...data, new Array(size(out.shape)).fill(0)];
  let want: ArrayLike<number> | undefined;
  try {
    want = reference(call, all);
  } catch {
    want = undefined;
  }
  const shapes = operands.map((o) => `${o.dtype}[${o.shape}]`).join(" ");
  // Sums come in another order: errors are those of the largest sum on the way.
  const limit = (limits[out.dtype] ?? 0) * (name === "scan" ? 5 : 1);
  cases.push({
    label: `${name} ${JSON.stringify(params)} ${shapes} ${about}`,
    call,
    data: all,
    want,
    limit,
  });
}

function matmulCases(): void {
  const product = (
    [x, y, z]: readonly [DType, DType, DType],
    [a, b, c]: readonly [Operand, Operand, Operand],
    accumulate: boolean,
    about: string,
  ): void => {
    const next = random(cases.length + 1), operands = [a, b, c];
    const reach = (o: Operand) =>
      o.offset + 1 + o.shape.reduce((sum, n, d) => sum + (n - 1) * o.strides[d], 0);
    const data = operands.map((o, i) => filled([x, y, z][i], reach(o), next));
    const want = Float64Array.from(data[2]), rank = c.shape.length, at = c.shape.map(() => 0);
    const k = a.shape[rank - 1];
    for (let i = 0; i < size(c.shape); i++) {
      for (let d = rank - 1, rest = i; d >= 0; d--) {
        at[d] = rest % c.shape[d];
        rest = Math.floor(rest / c.shape[d]);
      }
      const base = (o: Operand, skip: number) =>
        at.reduce((sum, v, d) => d === skip ? sum : sum + v * o.strides[d], o.offset);
      let sum = 0;
      for (let j = 0; j < k; j++) {
        sum += data[0][base(a, rank - 1) + j * a.strides[rank - 1]] *
          data[1][base(b, rank - 2) + j * b.strides[rank - 2]];
      }
      const to = base(c, -1);
      want[to] = roundTo(z, sum + (accumulate ? data[2][to] : 0));
    }
    const shapes = operands.map((o) => `${o.dtype}[${o.shape}]/${o.strides}`).join(" ");
    cases.push({
      label: `matmul ${about} accumulate ${accumulate} ${shapes}`,
      call: { name: "matmul", params: { accumulate }, operands },
      data,
      want,
      limit: (limits[z] ?? 0) * Math.sqrt(k + 1),
    });
  };
  const of = (d: DType, m: number, n: number, k: number, batch: number[] = []) =>
    [operand(d, [...batch, m, k]), operand(d, [...batch, k, n]), operand(d, [...batch, m, n])] as [
      Operand,
      Operand,
      Operand,
    ];
  const all = (d: DType): [DType, DType, DType] => [d, d, d];
  for (const d of ["float32", "float64", "float16", "bfloat16", "int32", "int64"] as DType[]) {
    product(all(d), of(d, 5, 7, 9), false, "small");
    product(all(d), of(d, 70, 67, 40), true, "edges");
  }
  const f = all("float32");
  product(
    ["float16", "float16", "float32"],
    [
      operand("float16", [9, 33]),
      operand("float16", [33, 17]),
      operand("float32", [9, 17]),
    ],
    true,
    "to float32",
  );
  product(f, of("float32", 1, 1, 300), false, "dot");
  product(f, of("float32", 3, 4, 0), false, "nothing to sum");
  product(f, of("float32", 130, 65, 130), false, "medium");
  product(
    f,
    [
      operand("float32", [31, 20], [1, 31]),
      operand("float32", [20, 33], [1, 20]),
      operand("float32", [31, 33], [1, 31]),
    ],
    false,
    "transposed",
  );
  product(
    f,
    [
      operand("float32", [24, 20], [41, 2], 3),
      operand("float32", [20, 18], [37, 2], 1),
      operand("float32", [24, 18], [20, 1], 5),
    ],
    true,
    "gaps",
  );
  product(f, of("float32", 6, 5, 4, [2, 3]), false, "batch");
  product(
    f,
    [
      operand("float32", [2, 3, 2, 2, 5, 4], [20, 0, 40, 0, 4, 1]),
      operand("float32", [2, 3, 2, 2, 4, 6], [0, 24, 0, 72, 6, 1]),
      operand("float32", [2, 3, 2, 2, 5, 6]),
    ],
    true,
    "broadcast batch",
  );
}

function convolutionCases(): void {
  const one = (
    dtype: DType,
    x: number[],
    w: number[],
    stride: number[],
    padding: number[],
    dilation: number[],
    groups = 1,
  ): void => {
    const params = { stride, padding, dilation, groups }, next = random(cases.length + 1);
    const grid = stride.map((s, d) =>
      Math.floor((x[d + 2] + 2 * padding[d] - dilation[d] * (w[d + 2] - 1) - 1) / s) + 1
    );
    const y = [x[0], w[0], ...grid], [ox, ow, oy] = [x, w, y].map((s) => operand(dtype, s));
    const [dx, dw, dy] = [x, w, y].map((s) => filled(dtype, size(s), next));
    add("convolution", params, [ox, ow, oy], [dx, dw]);
    add("convolutionInput", params, [oy, ow, ox], [dy, dw]);
    add("convolutionWeight", params, [ox, oy, ow], [dx, dy]);
  };
  one("float32", [2, 3, 11], [4, 3, 3], [2], [1], [1]);
  one("float32", [2, 4, 9, 8], [6, 2, 3, 2], [2, 1], [1, 0], [1, 2], 2);
  one("float32", [1, 3, 5, 6, 7], [2, 3, 2, 3, 2], [1, 2, 1], [1, 1, 0], [2, 1, 1]);
  one("float64", [2, 4, 7, 7], [4, 1, 3, 3], [1, 1], [1, 1], [1, 1], 4);
  one("int32", [1, 2, 6], [2, 2, 3], [1], [0], [1]);
  one("float16", [2, 2, 5, 5], [3, 2, 3, 3], [1, 1], [1, 1], [1, 1]);
  one("bfloat16", [2, 2, 5, 5], [3, 2, 3, 3], [1, 1], [1, 1], [1, 1]);
}

function poolCases(): void {
  const pool = (
    dtype: DType,
    x: number[],
    kernel: number[],
    more: Partial<Record<string, number[]>>,
  ) => {
    const stride = more.stride ?? kernel, padding = more.padding ?? kernel.map(() => 0);
    const dilation = more.dilation ?? kernel.map(() => 1), lead = x.slice(0, -kernel.length);
    const sizes = x.slice(-kernel.length);
    const grid = sizes.map((n, d) =>
      Math.floor((n + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d]) + 1
    );
    const next = random(cases.length + 1), data = filled(dtype, size(x), next);
    if (dtypes[dtype].kind === "float") [data[3], data[7], data[8]] = [NaN, -Infinity, NaN];
    const out = operand("int32", [...lead, ...grid]);
    const params = { kernel, stride, padding, dilation };
    add("maxPool", params, [operand(dtype, x), out], [data]);
    const index = Array.from(cases.at(-1)!.want!), gradient = filled(dtype, index.length, next);
    add("poolScatter", { spatialDims: kernel.length }, [
      operand(dtype, out.shape),
      out,
      operand(dtype, x),
    ], [gradient, index]);
  };
  pool("float32", [2, 3, 13], [3], { stride: [2], padding: [1] });
  pool("float32", [2, 3, 9, 8], [3, 2], { stride: [1, 2], padding: [1, 0], dilation: [2, 1] });
  pool("float64", [1, 2, 5, 6, 4], [2, 3, 2], { stride: [1, 1, 1] });
  pool("int32", [2, 2, 6, 6], [2, 2], {});
  pool("float32", [3, 20, 20], [3, 3], { stride: [1, 1], padding: [1, 1] });
}

/** The gradients of all pools again, with what is known of the windows, and two in half precision. */
function windowCases(): void {
  const pools = cases.flatMap(({ call }, i) => call.name === "maxPool" ? [[i, i + 1]] : []);
  for (const [pool, scatter] of pools) {
    const windows = cases[pool].call.params as RoutineParams["maxPool"];
    const { call: { params, operands }, data } = cases[scatter];
    const known = { ...params as RoutineParams["poolScatter"], windows };
    const inputs = data.slice(0, 2).map((x) => Array.from(x));
    add("poolScatter", known, operands, inputs);
    if (operands[0].dtype !== "float32") continue;
    const half = operands.map((o) =>
      o.dtype === "float32" ? { ...o, dtype: "bfloat16" as const } : o
    );
    add("poolScatter", known, half, [inputs[0].map((x) => roundTo("bfloat16", x)), inputs[1]]);
  }
}

function scanCases(): void {
  const ops: ScanOp[] = ["sum", "prod", "max", "min", "logaddexp", "argmax", "argmin"];
  const scan = (op: ScanOp, dtype: DType, rows: number, length: number, odd = false) => {
    const next = random(cases.length + 1), data = filled(dtype, rows * length, next);
    // Products of many numbers stay near 1, or small.
    if (op === "prod") {
      const near = (x: number, i: number) =>
        dtypes[dtype].kind === "float" ? 1 + x / 2000 : i % 499 === 3 ? 3 : i % 7 === 2 ? -1 : 1;
      data.forEach((x, i) => data[i] = near(x, i));
    }
    if (odd && dtypes[dtype].kind === "float") {
      [data[1], data[length + 2], data[2 * length - 3]] = [Infinity, NaN, NaN];
    }
    const to = op.startsWith("arg") ? "int32" : dtype;
    add("scan", { op }, [operand(dtype, [rows, length]), operand(to, [rows, length])], [
      data.map((x) => roundTo(dtype, x)),
    ], odd ? "with NaN" : "");
  };
  for (const op of ops) {
    for (const dtype of ["float32", "float64", "int32"] as DType[]) {
      if (op === "logaddexp" && dtype === "int32") continue;
      scan(op, dtype, 3, 70);
      scan(op, dtype, 2, 5000);
    }
    scan(op, "float32", 5, 33, true);
    scan(op, "float32", 2, 1500, true);
  }
  scan("sum", "float32", 1, 20000);
  scan("argmax", "float64", 1, 9000);
  scan("max", "float32", 2, 1);
  for (
    const [dtype, rows, length] of [["float32", 3, 50], ["float64", 2, 6000], [
      "float32",
      1,
      1,
    ]] as const
  ) {
    const next = random(cases.length + 1),
      both = [0, 1].map(() => filled(dtype, rows * length, next));
    both[0] = both[0].map((x, i) => i % length === 0 ? NaN : x / 2);
    const o = operand(dtype, [rows, length]);
    add("recurrence", {}, [o, o, o], both);
  }
}

function sortCases(): void {
  const sort = (dtype: DType, rows: number, length: number, count = length) => {
    const next = random(cases.length + 1);
    const data = filled(dtype, rows * length, next).map((x) => Math.round(x * 40) / 40);
    if (dtypes[dtype].kind === "float" && length > 9) {
      [data[2], data[5], data[6], data[7], data[8], data[9]] = [
        NaN,
        NaN,
        -0,
        0,
        Infinity,
        -Infinity,
      ];
    }
    for (const descending of [false, true]) {
      add("argsort", { descending }, [
        operand(dtype, [rows, length]),
        operand("int32", [rows, count]),
      ], [data.map((x) => roundTo(dtype, x))]);
    }
  };
  for (const d of ["float32", "float64", "int32", "bool"] as DType[]) {
    sort(d, 5, 37);
    sort(d, 2, 300, 10);
  }
  sort("float32", 1, 1);
  sort("float32", 9, 2);
  sort("float32", 2, 2048);
  sort("float32", 2, 5000);
  sort("float64", 1, 9000, 20);
  sort("int32", 1, 4097);
  const next = random(7),
    ascending = (n: number) => filled("float32", n, next).sort((a, b) => a - b);
  const rows = [...ascending(20), ...ascending(19), NaN], values = filled("float32", 14, next);
  values[3] = NaN;
  values[4] = rows[5];
  for (const right of [false, true]) {
    add("search", { right }, [
      operand("float32", [2, 20]),
      operand("float32", [2, 7]),
      operand("int32", [2, 7]),
    ], [rows, values]);
    add("search", { right }, [
      operand("float64", [20]),
      operand("float64", [2, 7]),
      operand("int32", [2, 7]),
    ], [rows.slice(0, 20), values]);
    add("search", { right }, [
      operand("int32", [4]),
      operand("int32", [2, 3]),
      operand("int32", [2, 3]),
    ], [[1, 3, 3, 8], [0, 1, 3, 4, 8, 9]]);
  }
}

function scatterCases(): void {
  const scatter = (
    op: "prod" | "max" | "min",
    dtype: DType,
    base: number[],
    index: number[],
    dim: number,
    wrong = false,
  ) => {
    const next = random(cases.length + 1), count = size(index);
    const places = Array.from(
      { length: count },
      () => Math.abs(Math.floor(next() * 1e6)) % base[dim],
    );
    if (wrong) places[count - 1] = base[dim];
    const values = filled(dtype, count, next).map((x) =>
      op === "prod" && dtype !== "int32" ? roundTo(dtype, 1 + x / 50) : x
    );
    if (dtypes[dtype].kind === "float") values[0] = NaN;
    add(
      "scatterReduce",
      { op, dim },
      [
        operand(dtype, base),
        operand("int32", index),
        operand(dtype, index),
        operand(dtype, base),
      ],
      [filled(dtype, size(base), next), places, values],
      wrong ? "out of range" : "",
    );
  };
  for (const op of ["prod", "max", "min"] as const) {
    scatter(op, "float32", [4, 5, 6], [4, 7, 6], 1);
    scatter(op, "float64", [3, 9], [2, 200], 1);
    scatter(op, "int32", [7], [300], 0);
    scatter(op, "float32", [7], [300], 0);
  }
  scatter("max", "bool", [4, 5], [9, 3], 0);
  scatter("max", "float32", [4, 5], [9, 3], 0, true);
  scatter("min", "float32", [4], [100], 0, true);
}

function float8Cases(): void {
  const dtypesOfFactors = ["float32", "bfloat16", "float16"] as DType[];
  for (const [rows, columns] of [[1, 1], [5, 18], [70, 132]]) {
    dtypesOfFactors.forEach((dtype, i) => {
      const next = random(cases.length + 1), data = filled(dtype, rows * columns, next);
      data[0] = NaN;
      const format = i % 2 === 0 ? "e4m3" : "e5m2";
      for (const both of [false, true]) {
        add("quantizeFloat8", { format, both }, [
          operand(dtype, [rows, columns]),
          operand("float32", []),
          operand("uint8", [float8Bytes(rows, columns, both)]),
        ], [data, [Math.fround(37.3)]]);
      }
    });
  }
  const product = (a: Float8Factor, b: Float8Factor, dtype: DType) => {
    const next = random(cases.length + 1), left = float8Place(a), right = float8Place(b);
    const bytes = ({ rows, columns, transposed, format }: Float8Factor) =>
      Array.from(
        { length: float8Bytes(rows, columns, transposed) },
        () => encodeFloat8(next() * 20, format),
      );
    const data = [a, b].map(bytes);
    add("matmulFloat8", { a, b, fast: false }, [
      ...data.map((x) => operand("uint8", [x.length])),
      operand("float32", []),
      operand("float32", []),
      operand(dtype, [left.rows, right.rows]),
    ], [...data, [0.5], [Math.fround(0.3)]]);
  };
  const factor = (format: Float8Factor["format"], shape: [number, number], transposed = false) => ({
    format,
    rows: shape[0],
    columns: shape[1],
    transposed,
  });
  product(factor("e4m3", [70, 48]), factor("e4m3", [80, 48]), "float32");
  product(factor("e5m2", [5, 20]), factor("e4m3", [20, 32], true), "bfloat16");
  product(factor("e5m2", [33, 16], true), factor("e4m3", [33, 48], true), "float16");
  // None of the vendor's.
  product(factor("e5m2", [9, 32]), factor("e5m2", [7, 32]), "float32");
}

/** All cases; made once. */
export function routineCases(): readonly RoutineCase[] {
  if (cases.length === 0) {
    matmulCases();
    convolutionCases();
    poolCases();
    scanCases();
    sortCases();
    scatterCases();
    float8Cases();
    windowCases();
  }
  return cases;
}
