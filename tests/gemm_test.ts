import { assert, assertEquals, assertThrows } from "@std/assert";
import { openBlas } from "@pta/ffi";
import { WasmBackend, type WasmOptions } from "../core/backend/wasm/mod.ts";
import type { TileName } from "../core/backend/wasm/tiles.ts";
import { tiles } from "../core/backend/wasm/tiles.ts";
import type { Operand } from "../core/device.ts";
import { codecs, type DType, dtypes, type HostArray, roundTo } from "../core/dtype.ts";

interface Case {
  readonly dtype: DType;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Whether A, B or C is stored transposed. */
  readonly flips?: readonly [boolean, boolean, boolean];
  readonly accumulate?: boolean;
  readonly batch?: readonly number[];
  /** Operands with stride 0 along the first batch dimension. */
  readonly shared?: readonly [boolean, boolean];
}

let seed = 1;
const random = (): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;

/** An operand that starts at element 3 of its buffer, and the elements its buffer needs. */
function operand(
  dtype: DType,
  shape: readonly number[],
  flip: boolean,
  shared: boolean,
): Operand & { length: number } {
  const rank = shape.length, strides = Array<number>(rank).fill(0);
  const order = Array.from({ length: rank }, (_, d) => d);
  if (flip) [order[rank - 1], order[rank - 2]] = [order[rank - 2], order[rank - 1]];
  let length = 1;
  for (const d of order.reverse()) {
    if (shared && d === 0 && rank > 2) continue;
    strides[d] = length;
    length *= shape[d];
  }
  return { dtype, shape, strides, offset: 3, length: length + 8 };
}

function fill(dtype: DType, length: number): HostArray {
  const data = dtypes[dtype].array(length);
  const isFloat = dtypes[dtype].kind === "float";
  for (let i = 0; i < length; i++) {
    const x = isFloat ? random() - 0.5 : Math.floor(random() * 11) - (dtype === "uint8" ? 0 : 5);
    (data as unknown as (number | bigint)[])[i] = codecs[dtype].encode(x);
  }
  return data;
}

/** The product in float64, rounded once, into a copy of what C held. */
function expected(operands: readonly Operand[], data: readonly HostArray[], accumulate: boolean) {
  const [a, b, c] = operands, rank = c.shape.length, { decode, encode } = codecs[c.dtype];
  const out = data[2].slice() as unknown as (number | bigint)[];
  const [m, n] = c.shape.slice(-2), k = a.shape[rank - 1];
  const total = c.shape.slice(0, -2).reduce((x, y) => x * y, 1);
  const at = (x: Operand, index: number, i: number, j: number) => {
    let o = x.offset + i * x.strides[rank - 2] + j * x.strides[rank - 1];
    for (let d = rank - 3; d >= 0; d--) {
      o += (index % c.shape[d]) * x.strides[d];
      index = Math.floor(index / c.shape[d]);
    }
    return o;
  };
  for (let q = 0; q < total; q++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = accumulate ? decode(data[2][at(c, q, i, j)]) : 0;
        for (let p = 0; p < k; p++) {
          sum += decode(data[0][at(a, q, i, p)]) * decode(data[1][at(b, q, p, j)]);
        }
        out[at(c, q, i, j)] = encode(roundTo(c.dtype, sum));
      }
    }
  }
  return out;
}

const epsilon: Partial<Record<DType, number>> = {
  float32: 2 ** -23,
  float64: 2 ** -52,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
};

function check(backend: WasmBackend, x: Case): void {
  const { dtype, m, n, k, flips = [false, false, false], accumulate = false } = x;
  const { batch = [], shared = [false, false] } = x;
  const operands = [
    operand(dtype, [...batch, m, k], flips[0], shared[0]),
    operand(dtype, [...batch, k, n], flips[1], shared[1]),
    operand(dtype, [...batch, m, n], flips[2], false),
  ];
  const data = operands.map((o) => fill(dtype, o.length));
  const buffers = operands.map((o, i) => {
    const buffer = backend.alloc(dtype, o.length);
    backend.write(buffer, data[i]);
    return buffer;
  });
  const call = { name: "matmul", params: { accumulate }, operands } as const;
  const { start } = backend.routines.matmul(call, buffers);
  start();
  const got = backend.read(buffers[2], 0, operands[2].length);
  const want = expected(operands, data, accumulate);
  const { decode } = codecs[dtype];
  // Each of k products and sums may round once.
  const bound = (epsilon[dtype] ?? 0) * (k + 2) * 0.3;
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(decode(got[i]) - decode(want[i]));
    assert(
      error <= bound,
      `${JSON.stringify(x)}: element ${i} is ${got[i]}, wanted ${want[i]} within ${bound}`,
    );
  }
  buffers.forEach((b) => backend.free(b));
}

const sizes = [
  [1, 1, 1],
  [6, 8, 4],
  [7, 9, 5],
  [13, 10, 64],
  [33, 17, 300],
  [100, 70, 61],
  [2, 33, 257],
  [97, 1, 3],
];
const flags = [false, true];

function everyCase(backend: WasmBackend, dtype: DType): void {
  for (const [m, n, k] of sizes) {
    for (const flipA of flags) {
      for (const flipB of flags) {
        for (const accumulate of flags) {
          check(backend, { dtype, m, n, k, flips: [flipA, flipB, false], accumulate });
        }
      }
    }
  }
}

const make = (options: WasmOptions): WasmBackend =>
  new WasmBackend({ blas: "off", threads: 1, ...options });

for (const tile of Object.keys(tiles) as TileName[]) {
  for (const fused of [true, false]) {
    const how = fused ? "fused" : "multiply and add";
    Deno.test(`tile ${tile} (${how}) agrees with a float64 loop on every layout`, () => {
      everyCase(make({ method: tile, fused }), "float32");
      // Vectors of float64 hold two values, so all tiles fit.
      everyCase(make({ method: tile, fused }), "float64");
    });
  }
}

Deno.test("the kernels that are chosen by shape agree with a float64 loop on every layout", () => {
  const backend = make({});
  everyCase(backend, "float32");
  for (const m of [1, 2, 3, 16, 17]) {
    for (const n of [4, 16, 20, 36, 64]) {
      for (const k of [1, 3, 64, 65]) {
        for (const accumulate of flags) check(backend, { dtype: "float32", m, n, k, accumulate });
      }
    }
  }
});

Deno.test("products larger than every cache block agree with a float64 loop", () => {
  check(make({}), { dtype: "float32", m: 101, n: 1030, k: 259, accumulate: true });
  check(make({}), { dtype: "float64", m: 7, n: 1030, k: 513 });
});

Deno.test("batches, shared operands and column-major outputs agree with a float64 loop", () => {
  const backend = make({});
  for (const dtype of ["float32", "float64"] as const) {
    for (const accumulate of flags) {
      for (const batch of [[5], [2, 3], [1, 4], [3, 1, 2]]) {
        for (const shared of [[false, false], [true, false], [false, true]] as const) {
          for (const flipC of flags) {
            const flips = [false, true, flipC] as const;
            check(backend, { dtype, m: 9, n: 12, k: 7, batch, shared, flips, accumulate });
            check(backend, { dtype, m: 1, n: 5, k: 7, batch, shared, flips, accumulate });
          }
        }
      }
    }
  }
});

Deno.test("heads that are interleaved in memory are multiplied in place", () => {
  // [batch, time, heads, width] seen as [batch, heads, time, width].
  const backend = make({});
  const [b, t, h, d] = [2, 5, 3, 4];
  const view = (offset: number): Operand => ({
    dtype: "float32",
    shape: [b, h, t, d],
    strides: [t * h * d, d, h * d, 1],
    offset,
  });
  const q = view(0);
  const keys: Operand = { ...q, shape: [b, h, d, t], strides: [t * h * d, d, 1, h * d] };
  const out: Operand = {
    dtype: "float32",
    shape: [b, h, t, t],
    strides: [h * t * t, t * t, t, 1],
    offset: 0,
  };
  const data = [b * t * h * d, b * t * h * d, b * h * t * t].map((x) => fill("float32", x));
  const buffers = data.map((x) => {
    const buffer = backend.alloc("float32", x.length);
    backend.write(buffer, x);
    return buffer;
  });
  const operands = [q, keys, out];
  backend.routines.matmul(
    { name: "matmul", params: { accumulate: false }, operands },
    buffers,
  ).start();
  const got = backend.read(buffers[2], 0, data[2].length), want = expected(operands, data, false);
  for (let i = 0; i < want.length; i++) assert(Math.abs(Number(got[i]) - Number(want[i])) < 1e-6);
});

Deno.test("every other dtype is multiplied, integers exactly", () => {
  const backend = make({});
  for (const dtype of ["float16", "bfloat16", "int32", "int64", "uint8"] as const) {
    for (const accumulate of flags) {
      check(backend, { dtype, m: 5, n: 9, k: 7, flips: [true, false, false], accumulate });
      check(backend, { dtype, m: 3, n: 4, k: 6, batch: [2], accumulate });
      check(backend, {
        dtype,
        m: 3,
        n: 4,
        k: 6,
        batch: [2],
        flips: [false, false, true],
        accumulate,
      });
      check(backend, { dtype, m: 2, n: 3, k: 0, accumulate });
    }
  }
});

Deno.test("16-bit operands may give a float32 output", () => {
  const backend = make({});
  const [m, n, k] = [5, 9, 30];
  const operands = [
    operand("bfloat16", [m, k], false, false),
    operand("float16", [k, n], true, false),
    operand("float32", [m, n], false, false),
  ];
  const data = operands.map((o) => fill(o.dtype, o.length));
  const buffers = operands.map((o, i) => {
    const buffer = backend.alloc(o.dtype, o.length);
    backend.write(buffer, data[i]);
    return buffer;
  });
  const before = backend.stats.bytesAlive;
  const call = { name: "matmul", params: { accumulate: true }, operands } as const;
  backend.routines.matmul(call, buffers).start();
  assertEquals(backend.stats.bytesAlive, before);
  const got = backend.read(buffers[2], 0, operands[2].length);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = Number(data[2][3 + i * n + j]);
      for (let p = 0; p < k; p++) {
        sum += codecs.bfloat16.decode(data[0][3 + i * k + p]) * Number(data[1][3 + j * k + p]);
      }
      assert(Math.abs(Number(got[3 + i * n + j]) - sum) < 1e-5);
    }
  }
});

Deno.test("an empty inner dimension gives zeros and an empty output nothing", () => {
  for (const backend of [make({}), make({ blas: undefined })]) {
    for (const dtype of ["float32", "float64", "int32"] as const) {
      check(backend, { dtype, m: 3, n: 5, k: 0 });
      check(backend, { dtype, m: 3, n: 5, k: 0, accumulate: true });
      check(backend, { dtype, m: 0, n: 5, k: 2 });
      check(backend, { dtype, m: 4, n: 0, k: 2 });
      check(backend, { dtype, m: 4, n: 2, k: 2, batch: [0] });
    }
  }
});

Deno.test("sizes that do not fit together are a TypeError", () => {
  const backend = make({});
  const shape = (...s: number[]) => operand("float32", s, false, false);
  const operands = [shape(3, 4), shape(5, 2), shape(3, 2)];
  const buffers = operands.map((o) => backend.alloc("float32", o.length));
  const call = { name: "matmul", params: { accumulate: false }, operands } as const;
  assertThrows(
    () => backend.routines.matmul(call, buffers),
    TypeError,
    "Cannot matmul [3, 4] by [5, 2] into [3, 2]",
  );
});

Deno.test("two threads give the same bits as one and use their worker", async () => {
  const one = make({}), two = make({ threads: 2 });
  const { pool } = two;
  pool.start();
  for (let i = 0; i < 200 && pool.workersReady < 1; i++) {
    await new Promise((done) => setTimeout(done, 25));
  }
  assertEquals(pool.workersReady, 1);
  for (
    const x of [
      { m: 300, n: 70, k: 150, batch: [] },
      { m: 40, n: 400, k: 150, batch: [] },
      { m: 64, n: 64, k: 64, batch: [8] },
      { m: 3, n: 900, k: 300, batch: [] },
    ]
  ) {
    const bits = [one, two].map((backend) => {
      seed = 7;
      const shapes = [[...x.batch, x.m, x.k], [...x.batch, x.k, x.n], [...x.batch, x.m, x.n]];
      const operands = shapes.map((s) => operand("float32", s, false, false));
      const buffers = operands.map((o) => {
        const buffer = backend.alloc("float32", o.length);
        backend.write(buffer, fill("float32", o.length));
        return buffer;
      });
      const call = { name: "matmul", params: { accumulate: false }, operands } as const;
      const { start } = backend.routines.matmul(call, buffers);
      for (let i = 0; i < 20; i++) start();
      return backend.read(buffers[2], 0, operands[2].length);
    });
    assertEquals(bits[0], bits[1]);
    check(two, { dtype: "float32", ...x });
  }
});

/** The path of the system's BLAS, or why there is none. */
function findBlas(): { path?: string; reason?: string } {
  try {
    return { path: openBlas().path };
  } catch (error) {
    return { reason: `skipped: ${(error as Error).message.split("\n")[0]}` };
  }
}
const { path, reason } = findBlas();

Deno.test({
  name: `the system's BLAS agrees with a float64 loop on every layout (${path ?? reason})`,
  ignore: path === undefined,
  fn: () => {
    const blas = make({ blas: path });
    for (const dtype of ["float32", "float64"] as const) {
      everyCase(blas, dtype);
      for (const batch of [[3], [2, 2]]) {
        for (const shared of [[true, false], [false, true]] as const) {
          check(blas, { dtype, m: 40, n: 50, k: 60, batch, shared, flips: [false, true, false] });
          check(blas, { dtype, m: 40, n: 50, k: 60, batch, shared, flips: [true, false, true] });
        }
      }
    }
  },
});

Deno.test("a BLAS that was named and cannot be opened is an error that lists what was tried", () => {
  const backend = make({ blas: "/no/such/library.so" });
  const error = assertThrows(
    () => check(backend, { dtype: "float32", m: 2, n: 2, k: 2 }),
    Error,
    "/no/such/library.so",
  );
  assert(error.message.includes("PTA_BLAS"), error.message);
});

Deno.test("a column-major B with few rows goes through inner products", () => {
  for (const fused of [true, false]) {
    const backend = new WasmBackend({ threads: 1, blas: "off", method: "dot", fused });
    for (const m of [1, 2, 3, 5, 6, 7, 12, 33, 64]) {
      for (const [n, k] of [[2, 64], [10, 68], [128, 80]]) {
        for (const accumulate of [false, true]) {
          const batch = m === 5 ? [3] : [];
          check(backend, {
            dtype: "float32",
            m,
            n,
            k,
            flips: [false, true, false],
            accumulate,
            batch,
          });
        }
      }
    }
  }
});
