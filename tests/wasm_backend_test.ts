import { assert, assertEquals, assertThrows } from "@std/assert";
import { WasmBackend } from "../core/backend/wasm/mod.ts";
import type { Buffer } from "../core/device.ts";
import { type Kernel, kernelKey, type Value } from "../core/kernel.ts";

const make = (threads = 1) => new WasmBackend({ threads, blas: "off" });

function kernel(k: Omit<Kernel, "key" | "name">): Kernel {
  return { ...k, key: kernelKey(k), name: "test" };
}

/** `out[i] = exp(in[i])` over rows of `columns`. */
function expKernel(columns: number): Kernel {
  const address = { offset: 0, strides: [columns, 1], dynamic: [] };
  const values: Value[] = [
    { kind: "load", dtype: "float32", address: { buffer: 0, ...address } },
    { kind: "op", dtype: "float32", op: "exp", args: [0] },
  ];
  return kernel({
    outer: [1, columns],
    reduce: [],
    values,
    stores: [{ address: { buffer: 1, ...address }, value: 1, mode: "set", level: "full" }],
    buffers: [{ dtype: "float32", access: "read" }, { dtype: "float32", access: "write" }],
  });
}

/** `out[i] = table[index[i]]`, where the table has 8 elements. */
const gatherKernel: Kernel = kernel({
  outer: [1],
  reduce: [],
  values: [
    {
      kind: "load",
      dtype: "int32",
      address: { buffer: 1, offset: 0, strides: [1], dynamic: [] },
    },
    {
      kind: "load",
      dtype: "float32",
      address: {
        buffer: 0,
        offset: 0,
        strides: [0],
        dynamic: [{ value: 0, stride: 1, size: 8 }],
      },
    },
  ],
  stores: [{
    address: { buffer: 2, offset: 0, strides: [1], dynamic: [] },
    value: 1,
    mode: "set",
    level: "full",
  }],
  buffers: [
    { dtype: "float32", access: "read" },
    { dtype: "int32", access: "read" },
    { dtype: "float32", access: "write" },
  ],
});

function put(backend: WasmBackend, data: Float32Array | Int32Array): Buffer {
  const buffer = backend.alloc(data instanceof Int32Array ? "int32" : "float32", data.length);
  backend.write(buffer, data);
  return buffer;
}

Deno.test("a kernel split over two threads writes the same bits as on one, for any extent", async () => {
  const columns = 37, rows = 5000;
  const input = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i));
  const two = make(2);
  two.pool.start();
  for (let i = 0; i < 200 && two.pool.workersReady < 1; i++) {
    await new Promise((done) => setTimeout(done, 25));
  }
  assertEquals(two.pool.workersReady, 1);
  for (const extent of [rows, rows - 1, 4001]) {
    const results = [make(1), two].map((backend) => {
      const a = put(backend, input), b = put(backend, new Float32Array(rows * columns));
      const launch = backend.bind(backend.compile(expKernel(columns)), extent, [a, b]);
      for (let i = 0; i < 10; i++) launch();
      return backend.read(b, 0, rows * columns) as Float32Array;
    });
    assertEquals(results[0], results[1]);
    const last = extent * columns - 1;
    assert(Math.abs(results[1][last] - Math.exp(input[last])) < 1e-5);
    assertEquals(results[1].slice(last + 1).every((x) => x === 0), true);
  }
});

Deno.test("an index out of range is a RangeError when values are needed, and only once", () => {
  const backend = make();
  const table = put(backend, Float32Array.from({ length: 8 }, (_, i) => i * 10));
  const out = put(backend, new Float32Array(3));
  const executable = backend.compile(gatherKernel);
  const gather = (...indices: number[]) =>
    backend.bind(executable, 3, [table, put(backend, Int32Array.from(indices)), out])();
  gather(7, 0, 3);
  assertEquals([...backend.read(out, 0, 3)], [70, 0, 30]);
  for (const bad of [8, -1, 1000000]) {
    gather(1, bad, 2);
    assertThrows(() => backend.synchronize(), RangeError, `${bad}: the dimension has size 8`);
    backend.synchronize();
  }
  gather(1, 9, 2);
  assertThrows(() => backend.read(out, 0, 3), RangeError, "Cannot index with 9");
});

Deno.test("arrays of another dtype and spans outside a buffer are refused", () => {
  const backend = make();
  const buffer = backend.alloc("float32", 10);
  assertThrows(
    () => backend.write(buffer, new Int32Array(3)),
    TypeError,
    "Cannot write Int32Array to a float32 buffer",
  );
  assertThrows(() => backend.write(buffer, new Float32Array(3), 8), RangeError, "8 to 11");
  assertThrows(() => backend.read(buffer, -1, 2), RangeError, "-1 to 1");
  backend.write(buffer, Float32Array.of(1, 2, 3), 7);
  assertEquals([...backend.read(buffer, 7, 3)], [1, 2, 3]);
  const copy = backend.alloc("float32", 12);
  backend.copy(buffer, copy);
  assertEquals([...backend.read(copy, 7, 3)], [1, 2, 3]);
  backend.free(buffer);
  assertThrows(() => backend.read(buffer, 0, 1), RangeError, "it was freed");
});

Deno.test("kernels and routines are counted when they run, not when they are bound", () => {
  const backend = make();
  const a = put(backend, new Float32Array(16)), b = put(backend, new Float32Array(16));
  const launch = backend.bind(backend.compile(expKernel(4)), 4, [a, b]);
  const matrix = { dtype: "float32", shape: [4, 4], strides: [4, 1], offset: 0 } as const;
  const call = {
    name: "matmul",
    params: { accumulate: false },
    operands: [matrix, matrix, matrix],
  } as const;
  const { start } = backend.routines.matmul(call, [a, a, b]);
  assertEquals([backend.stats.kernels, backend.stats.routines, backend.stats.compiled], [0, 0, 1]);
  launch();
  launch();
  start();
  assertEquals([backend.stats.kernels, backend.stats.routines, backend.stats.compiled], [2, 1, 1]);
  assertThrows(() => backend.bind(backend.compile(expKernel(4)), 4, [a]), TypeError, "want 2");
});
