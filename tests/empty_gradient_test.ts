/** Tensors without elements keep their history: gradients are zeros of the right shape, as in PyTorch. */
import { assert, assertEquals } from "@std/assert";
import { cat, grad, nn, Parameter, type Tensor, zeros } from "@pta/core";
import { numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";

const F = nn.functional;

/** A leaf of zeros. */
const leaf = (...shape: number[]): Tensor => new Parameter(zeros(shape));
const places = (...shape: number[]): Tensor => zeros(shape, { dtype: "int64" });
const no = (...shape: number[]): Tensor => zeros(shape, { dtype: "bool" });

/** A function of leaves of these shapes. */
type Case = readonly [shapes: readonly (readonly number[])[], fn: (...x: Tensor[]) => Tensor];

const cases: Readonly<Record<string, Case>> = {
  "sum": [[[0, 3]], (x) => x.sum()],
  "sum over rows": [[[0, 3]], (x) => x.sum(0)],
  "sum of no columns": [[[3, 0]], (x) => x.sum(1)],
  "prod": [[[0, 3]], (x) => x.prod(1)],
  "logsumexp": [[[0, 3]], (x) => x.logsumexp(1)],
  "var": [[[0, 3]], (x) => x.var(1)],
  "mul": [[[0, 3], [3]], (x, w) => x.mul(w)],
  "where": [[[0, 3]], (x) => x.maskedFill(no(0, 3), 1)],
  "cast": [[[0, 3]], (x) => x.to("float64").exp()],
  "detached beside": [[[0, 3]], (x) => x.mul(x.detach())],
  "matmul of no rows": [[[0, 3], [3, 4]], (x, w) => x.matmul(w)],
  "matmul of no columns": [[[2, 0], [0, 4]], (x, w) => x.matmul(w)],
  "batched matmul": [[[0, 2, 3], [0, 3, 4]], (x, w) => x.matmul(w)],
  "addmm": [[[4], [0, 3], [3, 4]], (b, x, w) => b.addmm(x, w)],
  "gather": [[[2, 3]], (x) => x.gather(1, places(2, 0))],
  "indexSelect": [[[2, 3]], (x) => x.indexSelect(0, places(0))],
  "maskedSelect": [[[2, 3]], (x) => x.maskedSelect(no(2, 3))],
  "narrow": [[[2, 3]], (x) => x.narrow(0, 0, 0)],
  "permute": [[[0, 3]], (x) => x.t().reshape(-1)],
  "cat": [[[0, 3], [0, 3]], (x, y) => cat([x, y])],
  "pad": [[[0, 3]], (x) => x.pad([1, 1])],
  "sort": [[[0, 3]], (x) => x.sort(1).values],
  "cumsum": [[[0, 3]], (x) => x.cumsum(1)],
  "inverse": [[[0, 3, 3]], (x) => x.inverse()],
  "linear": [[[0, 3], [4, 3], [4]], (x, w, b) => F.linear(x, w, b)],
  "bilinear": [[[0, 3], [0, 2], [4, 3, 2]], (x, y, w) => F.bilinear(x, y, w)],
  "conv2d": [[[0, 3, 5, 5], [4, 3, 3, 3], [4]], (x, w, bias) => F.conv2d(x, w, { bias })],
  "convTranspose2d": [
    [[0, 3, 5, 5], [3, 4, 3, 3], [4]],
    (x, w, bias) => F.convTranspose2d(x, w, { bias }),
  ],
  "embedding": [[[5, 3]], (w) => F.embedding(places(0), w)],
  "layerNorm": [[[0, 3], [3], [3]], (x, weight, bias) => F.layerNorm(x, [3], { weight, bias })],
  "rmsNorm": [[[0, 3], [3]], (x, weight) => F.rmsNorm(x, [3], { weight })],
  "groupNorm": [[[0, 4, 2], [4], [4]], (x, weight, bias) => F.groupNorm(x, 2, { weight, bias })],
  "relu": [[[0, 3]], (x) => x.relu()],
  "prelu": [[[0, 3], [3]], (x, w) => F.prelu(x, w)],
  "softmax": [[[0, 3]], (x) => x.softmax(1)],
  "logSoftmax": [[[0, 3]], (x) => x.logSoftmax(1)],
  "maxPool2d": [[[0, 3, 4, 4]], (x) => F.maxPool2d(x, 2)],
  "avgPool2d": [[[0, 3, 4, 4]], (x) => F.avgPool2d(x, 2)],
  "unfold": [[[0, 3, 4, 4]], (x) => F.unfold(x, 2)],
  "fold": [[[0, 12, 9]], (x) => F.fold(x, [4, 4], 2)],
  "attention": [[[0, 2, 3, 4]], (x) => F.scaledDotProductAttention(x, x, x)],
  "cross entropy": [[[0, 3]], (x) => F.crossEntropy(x, places(0), { reduction: "sum" })],
  "mse": [[[0, 3]], (x) => F.mseLoss(x, zeros([0, 3]), { reduction: "sum" })],
};

for (const [name, [shapes, fn]] of Object.entries(cases)) {
  eachDevice(`empty: gradient of ${name}`, () => {
    const leaves = shapes.map((s) => leaf(...s));
    const y = fn(...leaves);
    assert(y.requiresGrad, "no history");
    y.sum().backward();
    leaves.forEach(({ shape, grad }, i) => {
      assertEquals(grad?.shape, shape, `gradient ${i}`);
      assert(numbers(grad!).every((v) => v === 0), `gradient ${i} is ${numbers(grad!)}`);
    });
  });
}

eachDevice("empty: values that nothing is written from get zeros", () => {
  const x = leaf(2, 3);
  const writes: Readonly<Record<string, (v: Tensor) => Tensor>> = {
    scatterAdd: (v) => x.scatterAdd(0, places(0, 3), v),
    scatter: (v) => x.scatter(0, places(0, 3), v),
    scatterReduce: (v) => x.scatterReduce(0, places(0, 3), v, "prod"),
    indexAdd: (v) => x.indexAdd(0, places(0), v),
    indexCopy: (v) => x.indexCopy(0, places(0), v),
    indexPut: (v) => x.indexPut([places(0)], v),
  };
  for (const [name, write] of Object.entries(writes)) {
    const values = leaf(0, 3), y = write(values);
    const [gx, gv] = grad(y.sum(), [x, values]);
    assertEquals([gx.shape, gv.shape], [[2, 3], [0, 3]], name);
    assertEquals(numbers(gx), [1, 1, 1, 1, 1, 1], name);
  }
});

eachDevice("empty: layers of an empty batch give every parameter a gradient", () => {
  const modules: readonly [nn.Module, Tensor][] = [
    [new nn.Sequential(new nn.Linear(3, 4), new nn.LayerNorm(4), new nn.Linear(4, 2)), leaf(0, 3)],
    [new nn.Sequential(new nn.Conv2d(3, 4, 3), new nn.ReLU(), new nn.Flatten()), leaf(0, 3, 5, 5)],
    [new nn.Embedding(5, 3), places(0, 2)],
  ];
  for (const [module, x] of modules) {
    (module.forward(x) as Tensor).sum().backward();
    for (const [key, p] of module.namedParameters()) {
      assertEquals(p.grad?.shape, p.shape, key);
      assert(numbers(p.grad!).every((v) => v === 0), key);
    }
  }
});

eachDevice("empty: without recording there is no history", () => {
  const x = leaf(0, 3);
  assertEquals(x.detach().mul(2).requiresGrad, false);
  assertEquals(x.lt(1).requiresGrad, false);
});
