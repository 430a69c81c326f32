/** Sums over all rows of a kernel that walks rows: added up in memory as the rows go by. */
import { assert, assertEquals } from "@std/assert";
import { counters, grad, nn, realize, type Tensor, tensor } from "@pta/accelerated";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const values = (n: number, k: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * k + 1));

/** Output and gradients of a layer norm of `[rows, size]`. */
function layerNorm(rows: number, size: number): Tensor[] {
  const x = tensor(values(rows * size, 0.7), { shape: [rows, size], requiresGrad: true });
  const weight = tensor(values(size, 0.3), { requiresGrad: true });
  const bias = tensor(values(size, 0.5), { requiresGrad: true });
  const g = tensor(values(rows * size, 1.1), { shape: [rows, size] });
  const y = nn.functional.layerNorm(x, [size], { weight, bias });
  return [y, ...grad(y, [x, weight, bias], { gradOutputs: [g] })];
}

Deno.test("column sums: layer norm forward and backward is one kernel beside the zeros of two sums", () => {
  const kernels = on("cpu", () => {
    const results = layerNorm(60, 50), before = counters.kernels;
    realize(...results);
    return counters.kernels - before;
  }, { fuse: true });
  assertEquals(kernels, 3);
});

for (const [rows, size] of [[6, 5], [33, 64], [200, 7]]) {
  eachDevice(`column sums: [${rows}, ${size}] fused and not agree`, (device) => {
    const [fused, apart] = [true, false].map((fuse) =>
      on(device, () => layerNorm(rows, size).map(numbers), { fuse })
    );
    fused.forEach((got, i) => closeNumbers(got, apart[i], { atol: 2e-5 }, `result ${i}`));
    assert(fused[2].some((v) => Math.abs(v) > 0.1));
  });
}
