/** Initial values: PyTorch's structure, and the statistics that their formulas promise. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { eye, manualSeed, nn, ones, rand, tensor, zeros } from "@pta/accelerated";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";

const { init } = nn;

function moments(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b) / values.length;
  const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  return { mean, std };
}

Deno.test("means and deviations of what is drawn are those of the formulas", () => {
  manualSeed(1);
  const weight = zeros([300, 200]), fanIn = 200, fanOut = 300;
  const cases: [string, () => unknown, number, number][] = [
    ["uniform_", () => init.uniform_(weight, -1, 3), 1, 4 / Math.sqrt(12)],
    ["normal_", () => init.normal_(weight, 2, 0.5), 2, 0.5],
    // A standard normal cut at 2 has a deviation of 0.8796.
    ["truncNormal_", () => init.truncNormal_(weight), 0, 0.8796],
    ["xavierUniform_", () => init.xavierUniform_(weight), 0, Math.sqrt(2 / (fanIn + fanOut))],
    [
      "xavierNormal_",
      () => init.xavierNormal_(weight, { gain: 2 }),
      0,
      2 * Math.sqrt(2 / (fanIn + fanOut)),
    ],
    [
      "kaimingUniform_",
      () => init.kaimingUniform_(weight, { a: Math.sqrt(5) }),
      0,
      Math.sqrt(1 / 3 / fanIn),
    ],
    [
      "kaimingNormal_",
      () => init.kaimingNormal_(weight, { mode: "fanOut", nonlinearity: "relu" }),
      0,
      Math.sqrt(2 / fanOut),
    ],
    ["orthogonal_", () => init.orthogonal_(weight), 0, Math.sqrt(1 / fanOut)],
    ["sparse_", () => init.sparse_(weight, 0.9, { std: 1 }), 0, Math.sqrt(0.1)],
  ];
  for (const [name, draw, mean, std] of cases) {
    draw();
    const found = moments(numbers(weight));
    assert(
      Math.abs(found.mean - mean) < 0.02 * std + 0.02 * Math.abs(mean),
      `${name} mean ${found.mean}`,
    );
    assert(Math.abs(found.std - std) < 0.02 * std, `${name} std ${found.std}, wanted ${std}`);
  }
});

eachDevice("orthogonal matrices", (device) => {
  manualSeed(2);
  for (const shape of [[4, 4], [5, 3], [3, 5], [3, 2, 2]]) {
    const w = init.orthogonal_(zeros(shape, { device }), { gain: 2 }).reshape([shape[0], -1]);
    const [rows, columns] = w.shape, product = rows < columns ? w.matmul(w.mT) : w.mT.matmul(w);
    const wanted = eye(Math.min(rows, columns)).mul(4);
    closeNumbers(numbers(product), numbers(wanted), { atol: 1e-5 }, `${shape}`);
  }
  // Uniform: also reflections are drawn, and every entry is as often positive as negative.
  const signs = Array.from(
    { length: 200 },
    () => Math.sign(numbers(init.orthogonal_(zeros([2, 2], { device })))[0]),
  );
  assert(Math.abs(signs.reduce((a, b) => a + b)) < 50, `${signs}`);
});

eachDevice("identities, Dirac kernels and sparse columns", (device) => {
  assertEquals(init.eye_(ones([2, 3], { device })).toArray(), [[1, 0, 0], [0, 1, 0]]);
  assertEquals(init.dirac_(ones([3, 2, 3], { device })).toArray(), [
    [[0, 1, 0], [0, 0, 0]],
    [[0, 0, 0], [0, 1, 0]],
    [[0, 0, 0], [0, 0, 0]],
  ]);
  const image = rand([1, 4, 5, 5], { device });
  const kernels = init.dirac_(zeros([4, 2, 3, 3], { device }), 2);
  const same = nn.functional.conv2d(image, kernels, { padding: 1, groups: 2 });
  closeNumbers(numbers(same), numbers(image));
  manualSeed(3);
  const w = init.sparse_(ones([10, 7], { device }), 0.25), rows = w.toArray() as number[][];
  for (let c = 0; c < 7; c++) assertEquals(rows.filter((r) => r[c] === 0).length, 3);
});

Deno.test("constants, and what cannot be", () => {
  assertEquals(init.ones_(zeros([2])).toArray(), [1, 1]);
  assertEquals(init.zeros_(ones([2])).toArray(), [0, 0]);
  assertEquals(init.constant_(ones([2]), 3).toArray(), [3, 3]);
  assertThrows(() => init.eye_(ones([2])), TypeError, "[2]: it must have 2 dimensions");
  assertThrows(() => init.dirac_(ones([2, 2])), TypeError, "[2, 2]: it must have 3, 4 or 5");
  assertThrows(() => init.dirac_(ones([3, 2, 3]), 2), RangeError, "groups 2");
  assertThrows(
    () => init.orthogonal_(ones([4])),
    TypeError,
    "[4] orthogonal: it must have 2 dimensions",
  );
  assertThrows(() => init.sparse_(ones([4, 2]), 1.5), RangeError, "sparsity 1.5");
  assertThrows(() => init.xavierNormal_(ones([4])), TypeError, "fan of [4]");
});

eachDevice("gumbelSoftmax draws categories by their probabilities, with gradients", (device) => {
  manualSeed(4);
  const p = [0.1, 0.6, 0.3], n = 4000;
  const logits = tensor(p.map(Math.log), { device }).expand([n, 3]);
  const hard = nn.functional.gumbelSoftmax(logits, { hard: true });
  const shares = numbers(hard.mean(0));
  shares.forEach((s, i) => assert(Math.abs(s - p[i]) < 0.03, `${shares}`));
  closeNumbers(numbers(hard.sum(1)), Array(n).fill(1));
  const leaf = tensor([[0.5, 1, -1]], { device, requiresGrad: true });
  nn.functional.gumbelSoftmax(leaf, { hard: true, tau: 0.5 }).mul(tensor([1, 2, 3], { device }))
    .sum().backward();
  const g = numbers(leaf.grad!);
  // A softmax's gradient sums to 0, and this one is not 0 itself.
  assert(Math.abs(g[0] + g[1] + g[2]) < 1e-5 && g.some((x) => x !== 0), `${g}`);
  assertThrows(() => nn.functional.gumbelSoftmax(leaf, { tau: 0 }), RangeError, "tau 0");
});
