/** The path from a tensor to a trained model, in a second: what must hold before anything else is worth a look. */
import {
  arange,
  backendOf,
  capture,
  cat,
  counters,
  data,
  eye,
  full,
  grad,
  gradcheck,
  linspace,
  manualSeed,
  nn,
  noGrad,
  ones,
  optim,
  rand,
  randn,
  stepScope,
  type Tensor,
  tensor,
  Trainer,
  where,
  zeros,
} from "@pta/accelerated";
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";

Deno.test("tiny: a product and its gradient", () => {
  const a = tensor([[1, 2], [3, 4]], { requiresGrad: true }), b = tensor([[5], [6]]);
  const c = a.matmul(b);
  assertEquals(c.toArray(), [[17], [39]]);
  c.sum().backward();
  assertEquals(a.grad!.toArray(), [[5, 6], [5, 6]]);
});

Deno.test("tiny: finite differences agree", () => {
  const x = tensor([0.3, -0.8, 1.7], { dtype: "float64", device: "ref", requiresGrad: true });
  assert(gradcheck((x) => x.tanh().mul(x).exp().sum(), [x]));
});

Deno.test("tiny: exclusive or is learned", async () => {
  manualSeed(1);
  const x = tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), y = tensor(Int32Array.of(0, 1, 1, 0));
  const model = new nn.Sequential(new nn.Linear(2, 16), new nn.Tanh(), new nn.Linear(16, 2));
  const trainer = new Trainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.Adam(model.parameters(), { lr: 0.05 }),
    callbacks: [],
    seed: 1,
  });
  await trainer.train({
    trainDataset: new data.TensorDataset(x, y),
    numEpochs: 60,
    perDeviceBatchSize: 4,
  });
  assertEquals(Array.from(model.forward(x).argmax(1).data(), Number), [0, 1, 1, 0]);
});

Deno.test("tiny: making tensors and reading them", () => {
  assertEquals(tensor([[1, 2], [3, 4]]).toArray(), [[1, 2], [3, 4]]);
  assertEquals(tensor(7).item(), 7);
  assertEquals(tensor([true, false]).dtype, "bool");
  assertEquals(String(tensor([1, 2])), "Tensor([1,2], shape [2], float32)");
  assertEquals([zeros([2]).toArray(), ones([2]).toArray(), full([2], 3).toArray()], [
    [0, 0],
    [1, 1],
    [3, 3],
  ]);
  assertEquals(arange(0, 10, 3).toArray(), [0, 3, 6, 9]);
  assertEquals(linspace(0, 1, 5).toArray(), [0, 0.25, 0.5, 0.75, 1]);
  assertEquals(eye(2).toArray(), [[1, 0], [0, 1]]);
});

Deno.test("tiny: pointwise operations broadcast", () => {
  assertEquals(tensor([[1], [2]]).add(tensor([10, 20])).toArray(), [[11, 21], [12, 22]]);
  assertEquals(tensor([4, 9]).sqrt().mul(2).sub(1).toArray(), [3, 5]);
  assertEquals(where(tensor([true, false]), 1, 2).toArray(), [1, 2]);
});

Deno.test("tiny: dtypes promote", () => {
  assertEquals(tensor([1, 2]).add(tensor(Int32Array.of(1, 2))).dtype, "float32");
  assertEquals(tensor(Int32Array.of(7)).div(2).item(), 3.5);
  assertEquals(tensor([1.5]).to("int64").item(), 1);
});

Deno.test("tiny: reductions", () => {
  const x = tensor([[1, 5, 3], [4, 2, 6]]);
  assertEquals([x.sum().item(), x.amax(1).toArray(), x.argmin(0).toArray()], [21, [5, 6], [
    0,
    1,
    0,
  ]]);
  assertAlmostEquals(x.var().item(), 3.5, 1e-6);
});

Deno.test("tiny: movement", () => {
  const x = arange(0, 6).reshape(2, 3);
  assertEquals(x.t().toArray(), [[0, 3], [1, 4], [2, 5]]);
  assertEquals(x.slice(1, 1).flip(0).toArray(), [[4, 5], [1, 2]]);
  assertEquals(cat([x, x], 1).shape, [2, 6]);
  assertEquals(x.indexSelect(1, tensor(Int32Array.of(2, 0))).toArray(), [[2, 0], [5, 3]]);
});

Deno.test("tiny: softmax sums to 1 and takes large numbers", () => {
  const y = tensor([1000, 1001, 1002]).softmax(0);
  assertAlmostEquals(y.sum().item(), 1, 1e-6);
  assertAlmostEquals(y.select(0, 2).item(), 0.6652409, 1e-6);
});

Deno.test("tiny: ref and cpu agree", () => {
  const x = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
  const run = (device: string) =>
    tensor(x, { shape: [4, 6], device }).gelu().softmax(-1).matmul(
      tensor(x, { shape: [6, 4], device }),
    ).data();
  const a = run("ref"), b = run("cpu");
  a.forEach((v, i) => assertAlmostEquals(Number(b[i]), Number(v), 1e-5));
});

Deno.test("tiny: gradients add up and can be switched off", () => {
  const x = tensor([1, 2], { requiresGrad: true });
  x.mul(x).sum().backward();
  x.sum().backward();
  assertEquals(x.grad!.toArray(), [3, 5]);
  assertEquals(noGrad(() => x.mul(2)).requiresGrad, false);
});

Deno.test("tiny: a second derivative", () => {
  const x = tensor([2], { requiresGrad: true });
  const [g] = grad(x.pow(3).sum(), [x], { createGraph: true });
  assertEquals(grad(g.sum(), [x])[0].item(), 12);
});

Deno.test("tiny: changes in place", () => {
  const x = tensor([1, 2]);
  x.assign(x.mul(10));
  assertEquals(x.toArray(), [10, 20]);
  x.fill_(3).copy_([4, 5]);
  assertEquals(x.toArray(), [4, 5]);
  assertEquals(x.zero_().toArray(), [0, 0]);
});

Deno.test("tiny: a shape error names both shapes", () => {
  assertThrows(
    () => zeros([32, 64]).add(zeros([32, 10])),
    TypeError,
    "Cannot add [32, 64] and [32, 10]: sizes differ at dim 1",
  );
});

Deno.test("tiny: an index out of range is an error", () => {
  assertThrows(() => tensor([1, 2]).indexSelect(0, tensor(Int32Array.of(2))).data(), RangeError);
});

Deno.test("tiny: a step scope frees", () => {
  const { stats } = backendOf("cpu"), before = stats.bytesAlive;
  {
    using _ = stepScope();
    rand([100]).mul(2).realize();
    assert(stats.bytesAlive > before);
  }
  assertEquals(stats.bytesAlive, before);
});

Deno.test("tiny: a captured step replays", () => {
  const run = capture((x: Tensor) => x.mul(3).sum());
  assertEquals([1, 2, 3, 4].map((v) => run(tensor([v, v])).item()), [6, 12, 18, 24]);
  assertEquals(run.replays, 2);
});

Deno.test("tiny: equal seeds draw equal numbers", () => {
  const draw = () => (manualSeed(3), randn([4]).toArray());
  assertEquals(draw(), draw());
});

Deno.test("tiny: a pointwise chain runs as one kernel", () => {
  const x = tensor([1, 2], { device: "null" }), before = counters.kernels;
  x.mul(2).add(1).exp().sum().realize();
  assertEquals(counters.kernels - before, 1);
});

Deno.test("tiny: a linear layer has PyTorch's names", () => {
  assertEquals(Object.keys(new nn.Linear(3, 2).stateDict()), ["weight", "bias"]);
});
