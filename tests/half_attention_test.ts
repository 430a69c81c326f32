/** Attention in half precision on every device, forward and backward, against float64 on the reference device. */
import { assert } from "@std/assert";
import { type DType, grad, nn, noGrad, realize, type Tensor, tensor } from "@pta/core";
import { numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { Dice } from "./graph_fuzz.ts";

interface Case {
  readonly dtype: "float16" | "bfloat16";
  readonly batch: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly size: number;
  readonly causal: boolean;
}
const base: Case = {
  dtype: "bfloat16",
  batch: 2,
  heads: 2,
  keyHeads: 2,
  queries: 64,
  keys: 64,
  size: 16,
  causal: true,
};
const cases: Readonly<Record<string, Case>> = {
  "causal": base,
  "float16, odd lengths": { ...base, dtype: "float16", causal: false, queries: 21, keys: 77 },
  "shared keys": { ...base, heads: 4, keyHeads: 1, queries: 33, keys: 33 },
  "one query": { ...base, causal: false, queries: 1, keys: 9, size: 64 },
  "large heads": { ...base, batch: 1, dtype: "float16", queries: 12, keys: 12, size: 128 },
  "a size that is no multiple of 8": { ...base, queries: 9, keys: 9, size: 12 },
};

/** Result and gradients; the heads of each of the three lie beside each other in one projection. */
function run(c: Case, device: string, dtype: DType): number[][] {
  return on(device, () => {
    const dice = new Dice(11), width = (c.heads + 2 * c.keyHeads) * c.size;
    const filled = (shape: number[]): Tensor =>
      tensor(
        Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 2 * dice.next() - 1),
        { shape, device },
      ).to(c.dtype).to(dtype);
    const length = Math.max(c.queries, c.keys);
    const x = filled([c.batch, length, width]).realize().requiresGrad_();
    const part = (from: number, heads: number, positions: number): Tensor =>
      x.narrow(2, from * c.size, heads * c.size).narrow(1, 0, positions)
        .reshape(c.batch, positions, heads, c.size).transpose(1, 2);
    const attend = (): Tensor =>
      nn.functional.scaledDotProductAttention(
        part(0, c.heads, c.queries),
        part(c.heads, c.keyHeads, c.keys),
        part(c.heads + c.keyHeads, c.keyHeads, c.keys),
        { isCausal: c.causal, enableGqa: true },
      );
    const y = attend(), gradOutputs = [filled([...y.shape]).realize()];
    const [gradient] = grad(y, [x], { gradOutputs });
    realize(y, gradient);
    return [y, gradient, noGrad(attend)].map(numbers);
  });
}

for (const [name, c] of Object.entries(cases)) {
  eachDevice(`attention in half precision: ${name}`, (device) => {
    const want = run(c, "ref", "float64"), got = run(c, device, c.dtype);
    const limit = c.dtype === "float16" ? 2e-3 : 1.5e-2;
    ["result", "gradient", "result without gradients"].forEach((what, i) => {
      const most = Math.max(...want[i].map(Math.abs));
      const error = Math.max(...got[i].map((g, j) => Math.abs(g - want[i][j]) / most));
      assert(error < limit, `${what}: error ${error} of the largest element, limit ${limit}`);
    });
  });
}
