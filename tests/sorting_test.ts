/** Sorting, searching and counting where the golden samples do not reach. */
import { assertEquals, assertThrows } from "@std/assert";
import { bucketize, grad, histogram, histogramdd, searchsorted, tensor } from "@pta/core";
import { numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";

/** Few different values, so that there are many ties, and some NaN. */
function ties(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => i % 31 === 7 ? NaN : (i * 7919) % 23 - 11);
}

/** What a stable sort with NaN as the largest gives, by the host's own sort. */
function expected(values: Float32Array, descending: boolean): number[] {
  const rank = (v: number) => Number.isNaN(v) ? Infinity : v;
  return [...values.keys()].sort((i, j) => {
    const [a, b] = [rank(values[i]), rank(values[j])];
    return a === b ? i - j : (a < b) === descending ? 1 : -1;
  });
}

eachDevice("argsort is stable at every length, NaN largest", () => {
  for (const length of [1, 2, 15, 16, 17, 33, 500, 1000]) {
    const values = ties(length);
    for (const descending of [false, true]) {
      assertEquals(numbers(tensor(values).argsort(0, descending)), expected(values, descending));
    }
  }
});

eachDevice("the top of a row is the front of its sort", () => {
  const values = ties(300).map((v) => Number.isNaN(v) ? -20 : v);
  for (const k of [0, 1, 5, 64, 65, 300]) {
    for (const largest of [false, true]) {
      const { values: top, indices } = tensor(values).topk(k, 0, largest);
      const places = expected(values, largest).slice(0, k);
      assertEquals(numbers(indices), places);
      assertEquals(numbers(top), places.map((i) => values[i]));
    }
  }
  assertEquals(numbers(tensor([1, NaN, 3]).topk(2).indices), [1, 2]);
});

eachDevice("gradients of sorted elements go where they came from", () => {
  const x = tensor([[3, 1, 2], [5, 6, 4]], { requiresGrad: true });
  const weight = tensor([[10], [20]]).mul(tensor([1, 2, 3]));
  assertEquals(numbers(grad(x.sort().values.mul(weight).sum(), [x])[0]), [30, 10, 20, 40, 60, 20]);
  assertEquals(numbers(grad(x.sort(0).values.select(0, 0).sum(), [x])[0]), [1, 1, 1, 0, 0, 0]);
  assertEquals(numbers(grad(x.kthvalue(2).values.sum(), [x])[0]), [0, 0, 1, 1, 0, 0]);
  assertEquals(numbers(grad(x.unique().output.sum(), [x])[0]), [1, 1, 1, 1, 1, 1]);
});

eachDevice("other dtypes sort, search and count", () => {
  const far = tensor([2n ** 40n, 1n, -(2n ** 40n), 2n ** 40n - 1n]);
  assertEquals(numbers(far.argsort()), [2, 1, 3, 0]);
  assertEquals(numbers(searchsorted(far.sort().values, far)), [3, 1, 0, 2]);
  assertEquals(numbers(tensor([true, false, true]).argsort()), [1, 0, 2]);
  assertEquals(numbers(tensor([3, 1, 2], { dtype: "bfloat16" }).sort().values), [1, 2, 3]);
  assertEquals(numbers(tensor([2, 2, 5], { dtype: "uint8" }).bincount()), [0, 0, 2, 0, 0, 1]);
  assertEquals(numbers(tensor([1, 0, 2]).nonzero()), [0, 2]);
  assertEquals(tensor([true, false]).nonzero().shape, [1, 1]);
});

eachDevice("distinct elements and slices", () => {
  const { output, inverseIndices, counts } = tensor([3, 1, 3, 2]).unique();
  assertEquals([output, inverseIndices, counts].map(numbers), [[1, 2, 3], [2, 0, 2, 1], [1, 1, 2]]);
  const rows = tensor([[2, 1], [0, 5], [2, 1]]).unique({ dim: 0 });
  assertEquals(numbers(rows.output), [0, 5, 2, 1]);
  assertEquals(numbers(rows.inverseIndices), [1, 0, 1]);
  assertEquals(numbers(tensor([1, 1, 2, 1]).uniqueConsecutive().output), [1, 2, 1]);
  assertEquals(tensor([NaN, NaN]).unique().output.numel, 2);
});

eachDevice("modes, quantiles and middles", () => {
  const x = tensor([[1, 2, 2, 1], [4, 4, 3, 9]]);
  assertEquals(numbers(x.mode().values), [1, 4]);
  assertEquals(numbers(x.mode().indices), [3, 1]);
  assertEquals(numbers(x.median(1).values), [1, 4]);
  const row = tensor([0, 1, 2, 10]);
  const at = (interpolation: "linear" | "lower" | "higher" | "midpoint" | "nearest") =>
    row.quantile(0.9, 0, { interpolation }).item();
  assertEquals([at("lower"), at("higher"), at("midpoint"), at("nearest")], [2, 10, 6, 10]);
  assertEquals(Math.abs(at("linear") - 7.6) < 1e-5, true);
});

eachDevice("bins hold their lower edge, the last also its upper", () => {
  const { hist, binEdges } = histogram(tensor([0, 1, 2, 3, 4, NaN]), 2, { range: [0, 4] });
  assertEquals([numbers(hist), numbers(binEdges)], [[2, 3], [0, 2, 4]]);
  assertEquals(numbers(tensor([0, 1, 2, 3, 9]).histc({ bins: 3, min: 0, max: 3 })), [1, 1, 2]);
  const points = tensor([[0, 0], [1, 1], [1, 1]]);
  const plane = histogramdd(points, [2, 2], { weight: tensor([1, 2, 3]) });
  assertEquals(numbers(plane.hist), [1, 0, 0, 5]);
  const edges = tensor([1, 3, 5]);
  assertEquals(numbers(bucketize(tensor([1, 2, 5, 6]), edges)), [0, 1, 2, 3]);
  assertEquals(numbers(bucketize(tensor([1, 2, 5, NaN]), edges, { right: true })), [1, 1, 3, 3]);
});

const wrong: [string, () => unknown, typeof TypeError | typeof RangeError, string][] = [
  ["top of too few", () => tensor([1, 2]).topk(3), RangeError, "top 3"],
  ["value number 0", () => tensor([1, 2]).kthvalue(0), RangeError, "number 0"],
  ["a dim that is not there", () => tensor([1]).sort(1), RangeError, "at dim 1"],
  ["median of nothing", () => tensor(new Float32Array(0)).median(), RangeError, "no elements"],
  ["quantile above 1", () => tensor([1]).quantile(1.5), RangeError, "1.5"],
  ["quantile of integers", () => tensor([1n]).quantile(0.5), TypeError, "int64"],
  ["counting fractions", () => tensor([1]).bincount(), TypeError, "integers"],
  ["counting negatives", () => tensor([-1n]).bincount(), RangeError, "-1"],
  ["no bins", () => tensor([1]).histc({ bins: 0 }), RangeError, "0 bins"],
  ["endless range", () => tensor([1, Infinity]).histc(), RangeError, "finite"],
  [
    "rows of another number",
    () => searchsorted(tensor([[1]]), tensor([1, 2])),
    TypeError,
    "leading",
  ],
  ["bins in rows", () => bucketize(1, tensor([[1]])), TypeError, "vector"],
  ["places below 0", () => tensor([1]).nonzeroStatic(-1), RangeError, "-1"],
  ["ranges that do not fit", () => histogramdd(tensor([[1, 2]]), [2]), TypeError, "2 dimensions"],
];

Deno.test("bad arguments are refused at the call", () => {
  for (const [name, call, type, part] of wrong) assertThrows(call, type, part, name);
});
