/**
 * Billions of operations a second of float32 products, by method: `deno run -A bench/gemm_bench.ts [method ...]`. Best of several
 * samples on one thread; `PTA_THREADS` adds a column with that many.
 */
import { openBlas } from "@pta/ffi";
import { WasmBackend, type WasmOptions } from "../core/backend/wasm/mod.ts";
import { type Method, tiles } from "../core/backend/wasm/tiles.ts";
import type { Operand } from "../core/device.ts";

/** Rows, columns, inner size, whether A or B is stored transposed, products in the batch. */
const shapes: readonly [number, number, number, string, number][] = [
  [1024, 1024, 1024, "", 1],
  [256, 256, 256, "", 1],
  [64, 64, 64, "", 1],
  [1, 128, 784, "", 1],
  [4, 128, 784, "", 1],
  [16, 128, 784, "", 1],
  [32, 128, 784, "B", 1],
  [512, 128, 784, "B", 1],
  [128, 784, 32, "A", 1],
  [128, 784, 512, "A", 1],
  [32, 10, 64, "B", 1],
  [1024, 384, 128, "B", 1],
  [64, 64, 32, "B", 64],
  [64, 32, 64, "", 64],
];

function matrix(rows: number, columns: number, flip: boolean, batch: number): Operand {
  const strides = flip ? [rows * columns, 1, rows] : [rows * columns, columns, 1];
  return { dtype: "float32", shape: [batch, rows, columns], strides, offset: 0 };
}

function measure(backend: WasmBackend, [m, n, k, flips, batch]: typeof shapes[number]): number {
  const operands = [
    matrix(m, k, flips.includes("A"), batch),
    matrix(k, n, flips.includes("B"), batch),
    matrix(m, n, false, batch),
  ];
  const buffers = operands.map((o) => {
    const data = new Float32Array(o.shape.reduce((x, y) => x * y, 1)).map(() =>
      Math.random() - 0.5
    );
    const buffer = backend.alloc("float32", data.length);
    backend.write(buffer, data);
    return buffer;
  });
  const call = { name: "matmul", params: { accumulate: false }, operands } as const;
  const { start } = backend.routines.matmul(call, buffers);
  const work = 2 * m * n * k * batch, repeats = Math.max(1, Math.round(2e7 / work));
  let best = Infinity;
  const until = performance.now() + (work > 1e9 ? 2000 : 300);
  while (performance.now() < until) {
    const begin = performance.now();
    for (let i = 0; i < repeats; i++) start();
    best = Math.min(best, (performance.now() - begin) / repeats);
  }
  buffers.forEach((b) => backend.free(b));
  return work / best / 1e6;
}

const methods = (Deno.args.length > 0 ? Deno.args : [...Object.keys(tiles), "direct"]) as Method[];
const columns: [string, WasmOptions][] = [
  ["chosen", {}],
  ...methods.map((method): [string, WasmOptions] => [method, { method }]),
];
const threads = Number(Deno.env.get("PTA_THREADS") ?? 1);
if (threads > 1) columns.push([`chosen x${threads}`, { threads }]);
try {
  columns.push(["blas", { blas: openBlas().path }]);
} catch {
  // Without a BLAS there is no such column.
}
const backends = columns.map(([, options]) =>
  new WasmBackend({ threads: 1, blas: "off", ...options })
);
// V8 optimises a module in the background once its functions have run for some milliseconds.
backends.forEach((backend) => measure(backend, [64, 64, 64, "", 1]));
await new Promise((done) => setTimeout(done, 300));
console.log("m x n x k".padEnd(24) + columns.map(([name]) => name.padStart(10)).join(""));
for (const shape of shapes) {
  const [m, n, k, flips, batch] = shape;
  const rowMajor = flips === "";
  const cells = backends.map((backend, i) =>
    columns[i][0] === "direct" && (!rowMajor || n % 4 !== 0)
      ? "-"
      : measure(backend, shape).toFixed(1)
  );
  const name = `${m}x${n}x${k}${flips && ` ${flips}ᵀ`}${batch > 1 ? ` (${batch})` : ""}`;
  console.log(name.padEnd(24) + cells.map((cell) => cell.padStart(10)).join(""));
}
