/** Layers: initialisation, dropout, losses, attention, embeddings. */
import { grad, manualSeed, nn, type Tensor, tensor, zeros } from "@pta/core";
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice, onRef } from "./devices.ts";
import { floats, ints } from "./tensors.ts";

const F = nn.functional;

/** Mean and deviation of many numbers, and their range. */
function moments(t: Tensor): { mean: number; std: number; low: number; high: number } {
  const x = numbers(t), mean = x.reduce((a, b) => a + b, 0) / x.length;
  const std = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length);
  return { mean, std, low: Math.min(...x), high: Math.max(...x) };
}

function near(actual: number, expected: number, tolerance: number, what: string): void {
  assert(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

onRef("init: layers start as PyTorch's do", () => {
  manualSeed(3);
  const linear = new nn.Linear(100, 200), bound = 1 / Math.sqrt(100);
  for (const p of [linear.weight, linear.bias!]) {
    const { mean, std, low, high } = moments(p);
    assert(low >= -bound && high <= bound && high > 0.9 * bound && low < -0.9 * bound);
    near(mean, 0, 5 * bound / Math.sqrt(p.numel), "mean");
    near(std, bound / Math.sqrt(3), 0.1 * bound, "std");
  }
  const { mean, std } = moments(new nn.Embedding(200, 50).weight);
  near(mean, 0, 0.05, "embedding mean");
  near(std, 1, 0.05, "embedding std");
  const padded = new nn.Embedding(3, 4, { paddingIdx: 1 }).weight;
  assertEquals(numbers(padded.select(0, 1)), [0, 0, 0, 0]);
  assert(numbers(padded.select(0, 0)).every((x) => x !== 0));
  const norm = new nn.LayerNorm([2, 2]);
  assertEquals([numbers(norm.weight!), numbers(norm.bias!)], [[1, 1, 1, 1], [0, 0, 0, 0]]);
});

onRef("init: spreads follow the fans and the gain", () => {
  manualSeed(4);
  const [out, into] = [80, 120];
  const cases: [string, (t: Tensor) => Tensor, number][] = [
    ["xavierUniform_", (t) => nn.init.xavierUniform_(t), Math.sqrt(2 / (out + into))],
    [
      "xavierNormal_",
      (t) => nn.init.xavierNormal_(t, { gain: 2 }),
      2 * Math.sqrt(2 / (out + into)),
    ],
    [
      "kaimingUniform_",
      (t) => nn.init.kaimingUniform_(t, { nonlinearity: "relu" }),
      Math.sqrt(2 / into),
    ],
    ["kaimingNormal_", (t) => nn.init.kaimingNormal_(t, { mode: "fanOut" }), Math.sqrt(2 / out)],
    [
      "kaimingNormal_ tanh",
      (t) => nn.init.kaimingNormal_(t, { nonlinearity: "tanh" }),
      5 / 3 / Math.sqrt(into),
    ],
    ["normal_", (t) => nn.init.normal_(t, 0, 0.02), 0.02],
  ];
  for (const [name, init, wanted] of cases) {
    const { mean, std } = moments(init(zeros([out, into])));
    near(std, wanted, 0.04 * wanted, name);
    near(mean, 0, 5 * wanted / Math.sqrt(out * into), `mean of ${name}`);
  }
  const cut = moments(nn.init.truncNormal_(zeros([2000]), { mean: 1, std: 2, low: 0, high: 2 }));
  assert(cut.low >= 0 && cut.high <= 2 && cut.high - cut.low > 1.9);
  near(cut.mean, 1, 0.05, "mean of truncNormal_");
  assertEquals(numbers(nn.init.constant_(zeros([2]), 7)), [7, 7]);
  assertEquals(nn.init.fans(zeros([4, 3, 2, 2])), { fanIn: 12, fanOut: 16 });
});

eachDevice("dropout: keeps the expectation, is the identity in evaluation", () => {
  manualSeed(5);
  const x = tensor(new Float32Array(4000).fill(1)), layer = new nn.Dropout(0.25);
  const y = numbers(layer.forward(x)), scale = Math.fround(1 / 0.75);
  assert(y.every((v) => v === 0 || Math.abs(v - scale) < 1e-6));
  near(y.filter((v) => v === 0).length / y.length, 0.25, 0.03, "share of zeros");
  assert(`${numbers(layer.forward(x))}` !== `${y}`, "each call draws its own mask");
  assertStrictEquals(layer.eval().forward(x), x);
  assertEquals(numbers(F.dropout(floats([1, 2]), { p: 1 })), [0, 0]);
  // The gradient sees the mask of the forward pass.
  const w = floats([1, 1, 1, 1, 1, 1, 1, 1]).requiresGrad_();
  const out = F.dropout(w, { p: 0.5 });
  const [g] = grad([out.sum()], [w]);
  assertEquals(numbers(g), numbers(out));
});

eachDevice("crossEntropy: an impossible class is an error, an ignored one nothing", () => {
  const logits = floats([1, 2, 3, 1, 0, 2], [2, 3]).requiresGrad_();
  for (const bad of [3, -1]) {
    assertThrows(() => F.crossEntropy(logits, ints([0, bad])).item(), RangeError, `holds ${bad}`);
  }
  const alone = F.crossEntropy(logits.narrow(0, 0, 1), ints([0])).item();
  closeNumbers([F.crossEntropy(logits, ints([0, -100])).item()], [alone]);
  closeNumbers([F.crossEntropy(logits, ints([0, 2]), { ignoreIndex: 2 }).item()], [alone]);
  // Without any class left, PyTorch's mean is NaN and its sum 0.
  assert(Number.isNaN(F.crossEntropy(logits, ints([-100, -100])).item()));
  assertEquals(F.crossEntropy(logits, ints([-100, -100]), { reduction: "sum" }).item(), 0);
});

eachDevice("losses: modules give what the functions give, int64 or int32", () => {
  const x = floats([1, 2, 3, 1, 0, 2], [2, 3]), weight = floats([1, 2, 0.5]), t = ints([2, 0]);
  const options = { weight, labelSmoothing: 0.1, reduction: "sum" } as const;
  const expected = F.crossEntropy(x, t, options).item();
  closeNumbers([new nn.CrossEntropyLoss(options).forward(x, t).item()], [expected]);
  closeNumbers([new nn.CrossEntropyLoss(options).forward(x, t.to("int64")).item()], [expected]);
  closeNumbers([new nn.NLLLoss().forward(x, t).item()], [-(3 + 1) / 2]);
  closeNumbers([new nn.MSELoss().forward(x, x.add(2)).item()], [4]);
  closeNumbers(
    numbers(new nn.MSELoss({ reduction: "none" }).forward(floats([1, 2]), floats([3, 2]))),
    [4, 0],
  );
  assertEquals(Object.keys(new nn.CrossEntropyLoss({ weight }).stateDict()), ["weight"]);
});

eachDevice("attention: masked positions have no influence, empty rows give zeros", () => {
  manualSeed(6);
  const make = () => nn.init.normal_(zeros([2, 3, 4]));
  const [q, k, v] = [make(), make(), make()];
  const causal = F.scaledDotProductAttention(q, k, v, { isCausal: true });
  const lower = tensor([[true, false, false], [true, true, false], [true, true, true]]);
  closeNumbers(numbers(F.scaledDotProductAttention(q, k, v, { attnMask: lower })), numbers(causal));
  closeNumbers(
    numbers(causal.select(1, 0)),
    numbers(v.select(1, 0)),
    {},
    "the first sees itself only",
  );
  const none = tensor([[false, false, false], [true, true, true], [true, true, true]]);
  const input = q.detach().requiresGrad_();
  const out = F.scaledDotProductAttention(input, k, v, { attnMask: none });
  assertEquals(numbers(out.select(1, 0)), new Array(8).fill(0));
  const [g] = grad([out.square().sum()], [input]);
  assert(numbers(g).every(Number.isFinite));
  // Two query heads for each key head.
  const heads = (n: number) => nn.init.normal_(zeros([1, n, 3, 4]));
  const [q4, k2, v2] = [heads(4), heads(2), heads(2)];
  const wide = (t: Tensor) => t.unsqueeze(2).expand([1, 2, 2, 3, 4]).reshape([1, 4, 3, 4]);
  closeNumbers(
    numbers(F.scaledDotProductAttention(q4, k2, v2, { enableGqa: true })),
    numbers(F.scaledDotProductAttention(q4, wide(k2), wide(v2))),
  );
});

eachDevice("embedding: the padding row gets no gradient", () => {
  const table = new nn.Embedding(4, 2, { paddingIdx: 0 });
  table.forward(ints([0, 1, 1, 3], [2, 2])).sum().backward();
  assertEquals(numbers(table.weight.grad!), [0, 0, 2, 2, 0, 0, 1, 1]);
});
