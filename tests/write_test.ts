/** Scattering, putting and masking: values, repeated places, gradients, changes in place, errors. */
import { assertEquals } from "@std/assert";
import {
  arange,
  enableGrad,
  grad,
  gradcheck,
  noGrad,
  randn,
  type ScatterReduction,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";
import { throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";

const places = (...x: number[]): Tensor => tensor(x, { dtype: "int64" });
const leaf = (...shape: number[]): Tensor => randn(shape, { dtype: "float64", requiresGrad: true });

eachDevice("of several values for one place the last stays", () => {
  const base = zeros([4]), at = places(1, 3, 1), src = tensor([5, 6, 7]);
  assertEquals(base.scatter(0, at, src).toArray(), [0, 7, 0, 6]);
  assertEquals(base.indexCopy(0, at, src).toArray(), [0, 7, 0, 6]);
  assertEquals(base.put(places(-3, 3, 1), src).toArray(), [0, 7, 0, 6]);
  assertEquals(base.indexPut([at], src).toArray(), [0, 7, 0, 6]);
  assertEquals(base.put(at, src, true).toArray(), [0, 12, 0, 6]);
  const x = tensor([1, 2, 3, 4], { requiresGrad: true }),
    y = tensor([5, 6, 7], { requiresGrad: true });
  const [gx, gy] = grad(x.scatter(0, at, y).mul(tensor([1, 10, 100, 1000])).sum(), [x, y]);
  assertEquals([gx.toArray(), gy.toArray()], [[1, 0, 100, 0], [0, 1000, 10]]);
});

/** `tensor([1, 2, 3]).scatterReduce(0, [0, 0, 2], [4, 5, 0])`, with and without the old elements. */
const reduced: Record<ScatterReduction, readonly [readonly number[], readonly number[]]> = {
  sum: [[10, 2, 3], [9, 2, 0]],
  prod: [[20, 2, 0], [20, 2, 0]],
  mean: [[10 / 3, 2, 1.5], [4.5, 2, 0]],
  amax: [[5, 2, 3], [5, 2, 0]],
  amin: [[1, 2, 0], [4, 2, 0]],
};

eachDevice("scatterReduce", () => {
  const base = tensor([1, 2, 3]), at = places(0, 0, 2), src = tensor([4, 5, 0]);
  for (
    const [reduce, wanted] of Object.entries(reduced) as [
      ScatterReduction,
      readonly (readonly number[])[],
    ][]
  ) {
    [true, false].forEach((includeSelf, i) => {
      const y = base.scatterReduce(0, at, src, reduce, { includeSelf });
      assertEquals(y.toArray(), wanted[i].map(Math.fround), `${reduce} ${includeSelf}`);
      const whole = base.int().scatterReduce(0, at, src.int(), reduce, { includeSelf });
      assertEquals(whole.dtype, "int32");
      assertEquals(whole.toArray(), wanted[i].map(Math.floor), `${reduce} of integers`);
    });
  }
  const nan = base.scatterReduce(0, places(1), tensor([NaN]), "amax");
  assertEquals(nan.toArray(), [1, NaN, 3]);
  const long = base.long().scatterReduce(0, at, src.long(), "amax", { includeSelf: false });
  assertEquals([long.dtype, long.toArray()], ["int64", [5, 2, 0]]);
});

eachDevice("factors of 0 have the product of the others as gradient", () => {
  const base = tensor([2, 0, 3], { requiresGrad: true });
  const src = tensor([0, 5, 0, 0], { requiresGrad: true });
  const y = base.scatterReduce(0, places(0, 0, 1, 2), src, "prod");
  const [gb, gs] = grad(y.sum(), [base, src]);
  assertEquals([gb.toArray(), gs.toArray()], [[0, 0, 0], [10, 0, 0, 3]]);
});

const at2 = tensor([[0, 2, 0], [1, 1, 2]], { dtype: "int64", device: "ref" });
const gradients: Record<string, (x: Tensor, y: Tensor) => Tensor> = {
  scatter: (x, y) => x.scatter(1, at2.to(x.device), y),
  scatterAdd: (x, y) => x.scatterAdd(1, at2.to(x.device), y),
  "scatter by multiplication": (x, y) => x.scatter(1, at2.to(x.device), y, { reduce: "multiply" }),
  indexAdd: (x, y) => x.indexAdd(1, places(2, 0, 2), y, { alpha: -3 }),
  indexCopy: (x, y) => x.indexCopy(1, places(3, 0, 2), y),
  indexFill: (x, y) => x.indexFill(1, places(3, 0), y.sum()),
  "indexReduce mean": (x, y) => x.indexReduce(1, places(2, 0, 2), y, "mean"),
  take: (x, y) => x.take(places(0, -1, 3, 3)).mul(y.sum()),
  takeAlongDim: (x, y) => x.takeAlongDim(places(1, -1).reshape(1, 2), 1).mul(y.sum()),
  put: (x, y) => x.put(places(0, -1, 3, 3, 1, 2), y, true),
  indexPut: (x, y) => x.indexPut([{}, [1, 3, 0]], y),
  "indexPut of one value": (x, y) => x.indexPut(["...", { start: 1, stop: 3 }], y.sum().reshape(1)),
  maskedScatter: (x, y) =>
    x.maskedScatter(x.detach().gt(100).logicalOr(x.detach().lt(0)), y.repeat(2, 1)),
  maskedSelect: (x, y) => x.maskedSelect(x.detach().gt(0)).sum().mul(y.sum()),
  selectScatter: (x, y) => x.selectScatter(y.select(1, 0), 1, -2),
  ...Object.fromEntries(
    (["sum", "prod", "mean", "amax", "amin"] as const).flatMap((reduce) =>
      [true, false].map((includeSelf) => [
        `scatterReduce ${reduce} ${includeSelf}`,
        (x: Tensor, y: Tensor) => x.scatterReduce(1, at2.to(x.device), y, reduce, { includeSelf }),
      ])
    ),
  ),
};

eachDevice("gradients of writing agree with finite differences", () => {
  for (const fn of Object.values(gradients)) gradcheck(fn, [leaf(2, 4), leaf(2, 3)]);
  // The gradient of a gradient; the points of the differences come without a history.
  const twice = (x: Tensor, y: Tensor) =>
    enableGrad(() => {
      const [a, b] = [x, y].map((t) => t.requiresGrad ? t : t.detach().requiresGrad_());
      const z = a.scatterReduce(1, at2.to(a.device), b, "prod");
      return grad(z.square().sum(), [a, b], { createGraph: true })[1];
    });
  gradcheck(twice, [leaf(2, 4), leaf(2, 3)]);
});

eachDevice("writing works on every dtype and on computed indices", () => {
  for (
    const dtype of ["float64", "float16", "bfloat16", "int32", "int64", "uint8", "bool"] as const
  ) {
    const x = tensor([1, 0, 1, 0]).to(dtype), y = tensor([1, 1]).to(dtype);
    const at = arange(0, 2).mul(2).add(1);
    for (const z of [x.scatter(0, at, y), x.indexCopy(0, at, y), x.put(at, y)]) {
      assertEquals([z.dtype, z.float().toArray()], [dtype, [1, 1, 1, 1]]);
    }
    assertEquals(x.indexFill(0, at, 1).float().toArray(), [1, 1, 1, 1]);
    assertEquals(x.maskedSelect(x.ne(0)).float().toArray(), [1, 1]);
    assertEquals(x.sliceScatter(y, 0, 1, 4, 2).float().toArray(), [1, 1, 1, 1]);
  }
});

eachDevice("an index out of range raises RangeError", () => {
  const x = zeros([2, 3]);
  for (const bad of [3, -1]) {
    const at = tensor([[bad]], { dtype: "int64" }), one = tensor([[1]]);
    for (
      const y of [
        x.scatter(1, at, one),
        x.scatterReduce(1, at, one, "prod"),
        x.scatterReduce(1, at, one, "sum"),
      ]
    ) {
      throwsExactly(
        () => y.data(),
        RangeError,
        `Cannot index with ${bad}: the dimension has size 3`,
      );
    }
  }
  throwsExactly(
    () => x.maskedScatter(tensor([true, false, false]), tensor([1])).data(),
    RangeError,
    "Cannot index with 1: the dimension has size 1",
  );
  // What failed leaves nothing behind: the same device computes on.
  assertEquals(x.add(1).sum().item(), 6);
});

eachDevice("changes in place", () => {
  const x = zeros([2, 3]).realize();
  x.indexPut_([0, {}], 1).scatter_(1, tensor([[2], [0]], { dtype: "int64" }), 5);
  assertEquals(x.toArray(), [[1, 1, 5], [5, 0, 0]]);
  x.maskedFill_(x.eq(5), 2).indexAdd_(0, places(1, 1), tensor([[1, 1, 1], [2, 2, 2]]));
  assertEquals(x.toArray(), [[1, 1, 2], [5, 3, 3]]);
  x.indexCopy_(1, places(1), tensor([[8], [9]])).indexFill_(1, places(0), 0);
  assertEquals(x.toArray(), [[0, 8, 2], [0, 9, 3]]);
  x.scatterAdd_(1, tensor([[0]], { dtype: "int64" }), tensor([[4]])).maskedScatter_(
    x.eq(9),
    tensor([6]),
  );
  assertEquals(x.toArray(), [[4, 8, 2], [0, 6, 3]]);
  const w = tensor([1, 2], { requiresGrad: true });
  throwsExactly(
    () => zeros([2]).indexCopy_(0, places(0, 1), w),
    Error,
    "Cannot change a tensor in place by values that carry a gradient: it would be lost; use the form without _",
  );
  noGrad(() => w.maskedFill_(w.eq(2), 7));
  assertEquals([w.toArray(), w.requiresGrad], [[1, 7], true]);
});

const x = () => zeros([2, 3]);
const i = (...shape: number[]): Tensor => zeros(shape, { dtype: "int64" });
const errors: readonly (readonly [() => unknown, new (m: string) => Error, string])[] = [
  [
    () => x().scatter(1, i(2, 2), zeros([2, 1])),
    TypeError,
    "Cannot scatter [2, 1] into [2, 3] along dim 1 by an index of shape [2, 2]: it must not be larger",
  ],
  [
    () => x().scatter(1, i(2, 2), i(2, 2)),
    TypeError,
    "Cannot scatter int64 into float32: dtypes must be equal",
  ],
  [
    () => x().scatter(1, zeros([2, 2]), 1),
    TypeError,
    "Cannot scatter by a float32 index: int32 or int64 is needed",
  ],
  [
    () => x().scatterReduce(1, i(2, 2), zeros([2, 2]), "median" as "sum"),
    RangeError,
    "Cannot reduce by median: it must be one of sum, mean, prod, amax, amin",
  ],
  [
    () => x().indexAdd(0, i(2), zeros([2, 2])),
    TypeError,
    "Cannot add [2, 2] along dim 0 of [2, 3] by an index of shape [2]: [2, 3] is needed",
  ],
  [
    () => x().indexFill(0, i(2, 2), 1),
    TypeError,
    "Cannot fill by an index of shape [2, 2]: a 1-D index and a single value are needed",
  ],
  [
    () => x().put(i(2), zeros([3])),
    TypeError,
    "Cannot put [3] at an index of shape [2]: as many elements are needed",
  ],
  [
    () => x().takeAlongDim(i(2), 0),
    TypeError,
    "Cannot take from [2, 3] by an index of shape [2]: as many dimensions are needed",
  ],
  [() => x().maskedSelect(x()), TypeError, "Cannot select by a float32 mask: it must be bool"],
  [
    () => x().sliceScatter(zeros([1, 3]), 1, 0, 2),
    TypeError,
    "Cannot write [1, 3] into a slice of shape [2, 2]",
  ],
  [
    () => x().selectScatter(zeros([2]), 1, 3),
    RangeError,
    "Cannot select 3 of dim 1: it has 3 elements",
  ],
  [
    () => x().indexPut([[0]], zeros([2])),
    TypeError,
    "Cannot expand [2] to [1, 3]: only sizes of 1 can grow",
  ],
];

Deno.test("bad arguments of writing are refused at the call", () => {
  on("ref", () => {
    for (const [fn, type, message] of errors) throwsExactly(fn, type, message);
  });
});
