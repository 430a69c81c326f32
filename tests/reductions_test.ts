/** Reductions, scans and distances where the golden samples do not reach: kinks, other dtypes, derivatives in float64, errors. */
import { assertEquals, assertThrows } from "@std/assert";
import { cdist, grad, gradcheck, masked, nn, segmentReduce, type Tensor, tensor } from "@pta/core";
import { closeNumbers, numbers } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const { functional: F } = nn;

/** float64 numbers without ties. */
function sample(shape: readonly number[], requiresGrad = true): Tensor {
  const length = shape.reduce((n, s) => n * s, 1);
  const values = Float64Array.from({ length }, (_, i) => 1.3 * Math.sin(7 * i + 1) + 0.01 * i);
  return tensor(values, { shape, requiresGrad });
}

/** A row with zeros in it, whose derivatives must not divide by them. */
const holes = () =>
  tensor(new Float64Array([2, 0, 3, 0, -1, 4]), { shape: [2, 3], requiresGrad: true });

const smooth: Record<string, (x: Tensor) => Tensor> = {
  "var with a correction of 0": (x) => x.var(1, { correction: 0 }),
  std: (x) => x.std(0),
  "norm 3": (x) => x.norm(3, 1),
  "norm -1.5": (x) => x.norm(-1.5, 1),
  "norm infinity": (x) => x.norm(Infinity, [0, 1]),
  renorm: (x) => x.renorm(2, 0, 0.5),
  cov: (x) => x.cov(),
  cumsum: (x) => x.cumsum(0),
  cumprod: (x) => x.cumprod(1),
  logcumsumexp: (x) => x.logcumsumexp(1),
  cummin: (x) => x.cummin(1).values,
  gradient: (x) => x.gradient({ dim: 1, edgeOrder: 2, spacing: 0.5 })[0],
  trapezoid: (x) => x.trapezoid({ dx: 0.25 }),
  "masked softmax": (x) => masked.softmax(x.add(1), 1, { mask: x.detach().gt(-1) }),
  "masked norm": (x) => masked.norm(x, -2, 1, { mask: x.detach().gt(-1.2) }),
  normalize: (x) => F.normalize(x, { p: 3 }),
  "pairs of rows": (x) => F.pdist(x, 1.5),
  "distances to all": (x) => cdist(x, sample([2, 4], false).add(0.3), 4),
  "median of rows": (x) => x.median(1).values,
  "all quantiles": (x) => x.quantile(tensor(new Float64Array([0.1, 0.5, 0.83])), 1),
  "segments": (x) => segmentReduce(x, "prod", { lengths: tensor([1, 0, 2], { dtype: "int64" }) }),
};

eachDevice("derivatives agree with differences", () => {
  for (const [name, fn] of Object.entries(smooth)) {
    try {
      gradcheck(fn, [sample([3, 4])]);
    } catch (error) {
      throw new Error(`${name}: ${(error as Error).message}`);
    }
  }
  gradcheck((x) => x.cumprod(1), [holes()]);
  gradcheck((x) => x.prod(1), [holes()]);
});

eachDevice("second derivatives of scans agree with differences", () => {
  const second = (fn: (x: Tensor) => Tensor) => (x: Tensor) => {
    if (!x.requiresGrad) x.requiresGrad = true;
    return grad(fn(x).square().sum(), [x], { createGraph: true })[0];
  };
  gradcheck(second((x) => x.cumprod(1)), [holes()]);
  gradcheck(second((x) => x.cumsum(1)), [sample([2, 3])]);
  gradcheck(second((x) => x.logcumsumexp(1)), [sample([2, 3])]);
});

eachDevice("slopes at kinks are PyTorch's", () => {
  const slope = (values: number[], fn: (x: Tensor) => Tensor): number[] => {
    const x = tensor(values, { requiresGrad: true });
    return numbers(grad(fn(x), [x])[0]);
  };
  assertEquals(slope([0, 0], (x) => x.norm()), [0, 0]);
  assertEquals(slope([0, 0], (x) => x.norm(0.5)), [0, 0]);
  assertEquals(slope([1, 1, 1], (x) => x.std()), [0, 0, 0]);
  assertEquals(slope([2, -2, 1], (x) => x.norm(Infinity)), [0.5, -0.5, 0]);
  assertEquals(slope([3, 3, 1], (x) => x.max()), [0.5, 0.5, 0]);
  assertEquals(slope([3, 3, 1], (x) => x.max(0).values), [1, 0, 0]);
  assertEquals(slope([1, 1, 2], (x) => x.median()), [0.5, 0.5, 0]);
});

eachDevice("integers, bool, empty and scalar tensors", () => {
  const ints = tensor([3_000_000_000n, 2_000_000_000n, -1n]);
  assertEquals(numbers(ints.cumsum(0)), [3e9, 5e9, 5e9 - 1]);
  assertEquals(ints.cumsum(0).dtype, "int64");
  assertEquals(numbers(tensor([true, false, true]).cumsum(0)), [1, 1, 2]);
  assertEquals(numbers(tensor([true, true, false]).diff()), [0, 1]);
  const none = tensor(new Float32Array(0), { shape: [2, 0] });
  assertEquals(numbers(none.sum(1)), [0, 0]);
  assertEquals(numbers(none.prod(1)), [1, 1]);
  assertEquals(numbers(none.logsumexp(1)), [-Infinity, -Infinity]);
  assertEquals(numbers(none.any(1)), [0, 0]);
  assertEquals(none.cumsum(1).shape, [2, 0]);
  assertEquals(none.softmax(1).shape, [2, 0]);
  const one = tensor(4);
  assertEquals([one.sum(0), one.cumsum(-1), one.max(0).values].map((t) => t.item()), [4, 4, 4]);
  assertEquals(one.softmax(0).item(), 1);
  assertEquals(numbers(tensor([1, 2], { dtype: "int32" }).sum(0, false, { dtype: "float32" })), [
    3,
  ]);
});

eachDevice("NaN wins, and is left out on request", () => {
  const x = tensor([1, NaN, 5, 3]);
  assertEquals(x.max().item(), NaN);
  assertEquals(x.max(0).indices.item(), 1);
  assertEquals(numbers(x.cummax(0).values), [1, NaN, NaN, NaN]);
  assertEquals(numbers(x.cummax(0).indices), [0, 1, 1, 1]);
  assertEquals([x.nansum().item(), x.nanmean().item(), x.nanmedian().item()], [9, 3, 3]);
  assertEquals([x.median().item(), x.median(0).indices.item()], [NaN, 1]);
  assertEquals([x.quantile(0.5).item(), x.nanquantile(0.5).item()], [NaN, 3]);
  closeNumbers(numbers(tensor([-Infinity, -Infinity, 0]).logcumsumexp(0)), [
    -Infinity,
    -Infinity,
    0,
  ]);
});

const wrong: [string, () => unknown, typeof TypeError | typeof RangeError, string][] = [
  ["mean of integers", () => tensor([1n]).mean(), TypeError, "int64"],
  ["maximum of nothing", () => tensor(new Float32Array(0)).amax(), RangeError, "no elements"],
  ["a dim that is not there", () => tensor(1).sum(1), RangeError, "at dim 1"],
  ["norm of integers", () => tensor([1n]).norm(), TypeError, "float dtype"],
  ["covariance of a cube", () => tensor([[[1]]]).cov(), TypeError, "at most 2"],
  [
    "weights that do not fit",
    () => tensor([[1, 2]]).cov({ aweights: tensor([1]) }),
    TypeError,
    "2",
  ],
  ["negative difference", () => tensor([1]).diff(-1), RangeError, "number -1"],
  ["gradient of one element", () => tensor([1]).gradient(), RangeError, "needs 2"],
  ["two spacings", () => tensor([1, 2]).gradient({ spacing: [1, 2] }), TypeError, "2 spacings"],
  ["coordinates too few", () => tensor([1, 2, 3]).trapezoid({ x: tensor([1, 2]) }), TypeError, "2"],
  ["mask of numbers", () => masked.sum(tensor([1]), 0, { mask: tensor([1]) }), TypeError, "bool"],
  ["points of two sizes", () => cdist(tensor([[1]]), tensor([[1, 2]])), TypeError, "one size"],
  ["negative norm", () => cdist(tensor([[1]]), tensor([[1]]), -1), RangeError, "-1"],
  ["pairs in a vector", () => F.pdist(tensor([1])), TypeError, "matrix"],
  ["no segments", () => segmentReduce(tensor([1]), "sum", {}), TypeError, "lengths or offsets"],
  [
    "segments too long",
    () => segmentReduce(tensor([1]), "sum", { lengths: tensor([2n]) }),
    RangeError,
    "has 1 elements",
  ],
];

Deno.test("bad arguments are refused at the call", () => {
  for (const [name, call, type, part] of wrong) assertThrows(call, type, part, name);
});

Deno.test("softmax: the gradient of a weight near 1 keeps its digits", () => {
  on("cpu", () => {
    const logits = [0, -9, -12, -10, 3, -8, -9, 14], cotangent = [5, -3, 4, 2, 7, 6.5, -1, 4.7];
    const [got, wanted] = (["float32", "float64"] as const).map((dtype) => {
      const x = tensor(logits).to(dtype).reshape(2, 4).requiresGrad_();
      const gradOutputs = [tensor(cotangent).to(dtype).reshape(2, 4)];
      return numbers(grad(x.softmax(-1), [x], { gradOutputs })[0]);
    });
    closeNumbers(got, wanted, { atol: 0, rtol: 3e-6 });
  });
});
