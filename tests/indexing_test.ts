/** Indexing: gather, scatter, choosing, joining and cutting. */
import { assertEquals, assertThrows } from "@std/assert";
import { arange, cat, grad, stack, type Tensor, tensor, where, zeros } from "@pta/core";
import { numbers } from "./assert.ts";
import { eachDevice } from "./devices.ts";

const int = (...x: number[]) => tensor(Int32Array.from(x));

eachDevice("gather and indexSelect take int32 and int64", () => {
  const x = tensor([[1, 2, 3], [4, 5, 6]]);
  for (const dtype of ["int32", "int64"] as const) {
    assertEquals(x.gather(1, tensor([[2, 0], [1, 1]], { dtype })).toArray(), [[3, 1], [5, 5]]);
    assertEquals(x.gather(0, tensor([[1, 0, 1]], { dtype })).toArray(), [[4, 2, 6]]);
    assertEquals(x.indexSelect(1, tensor([2, 2, 0], { dtype })).toArray(), [[3, 3, 1], [6, 6, 4]]);
  }
  assertEquals(x.mT.indexSelect(0, int(2, 0)).toArray(), [[3, 6], [1, 4]]);
  assertEquals(x.mul(2).flip(1).indexSelect(1, int(0)).toArray(), [[6], [12]]);
});

eachDevice("an index may be computed in the same graph", () => {
  const x = tensor([[1, 9, 3], [8, 5, 6]]);
  assertEquals(x.gather(1, x.argmax(1, true)).toArray(), [[9], [8]]);
  assertEquals(x.mul(2).gather(1, x.argmin(1, true).add(1)).add(1).toArray(), [[19], [13]]);
});

eachDevice("scatterAdd adds up repeated places", () => {
  const base = zeros([3, 2]);
  const index = tensor([[0, 2], [0, 2], [1, 2]], { dtype: "int64" });
  const src = tensor([[1, 2], [3, 4], [5, 6]]);
  assertEquals(base.scatterAdd(0, index, src).toArray(), [[4, 0], [5, 0], [0, 12]]);
  assertEquals(base.toArray(), [[0, 0], [0, 0], [0, 0]]);
  const large = zeros([4]).scatterAdd(
    0,
    arange(0, 1000).remainder(4),
    tensor(new Float32Array(1000).fill(1)),
  );
  assertEquals(large.toArray(), [250, 250, 250, 250]);
});

eachDevice("the gradient of indexSelect adds up repeated rows", () => {
  const x = tensor([[1, 2], [3, 4], [5, 6]], { requiresGrad: true });
  const y = x.indexSelect(0, int(2, 0, 2, 2)).mul(tensor([[1], [10], [100], [1000]]));
  assertEquals(grad(y.sum(), [x])[0].toArray(), [[10, 10], [0, 0], [1101, 1101]]);
});

eachDevice("an index out of range raises RangeError", () => {
  const x = tensor([[1, 2, 3], [4, 5, 6]]);
  for (const [bad, at] of [[3, 1], [-1, 1], [2, 0], [1_000_000, 1]] as const) {
    assertThrows(
      () => x.indexSelect(at, int(0, bad)).realize(),
      RangeError,
      `Cannot index with ${bad}: the dimension has size ${x.shape[at]}`,
    );
    const index = at === 1
      ? tensor([[bad], [0]], { dtype: "int64" })
      : tensor([[bad, 0, 0]], { dtype: "int64" });
    assertThrows(() => x.gather(at, index).realize(), RangeError, `Cannot index with ${bad}`);
    assertThrows(
      () => x.scatterAdd(at, index, index.float()).realize(),
      RangeError,
      `Cannot index with ${bad}`,
    );
  }
  // The device is as good as before.
  assertEquals(x.indexSelect(1, int(1)).toArray(), [[2], [5]]);
});

eachDevice("where and maskedFill broadcast and promote", () => {
  const mask = tensor([[true], [false]]), x = tensor([1, 2, 3]);
  assertEquals(where(mask, x, 0).toArray(), [[1, 2, 3], [0, 0, 0]]);
  assertEquals(where(mask, int(1, 2, 3), 0.5).dtype, "float32");
  assertEquals(x.maskedFill(x.gt(1.5), -Infinity).toArray(), [1, -Infinity, -Infinity]);
  assertEquals(x.maskedFill(mask, tensor(7)).toArray(), [[7, 7, 7], [1, 2, 3]]);
  // What is not chosen does not leak, not even NaN, nor into gradients.
  const y = tensor([-1, 4], { requiresGrad: true });
  const safe = where(y.gt(0), where(y.gt(0), y, 1).sqrt(), 0);
  assertEquals(grad(safe.sum(), [y])[0].toArray(), [0, 0.25]);
});

eachDevice("cat, stack, pad, split and chunk", () => {
  const a = tensor([[1, 2]]), b = tensor([[3, 4], [5, 6]]);
  assertEquals(cat([a, b]).toArray(), [[1, 2], [3, 4], [5, 6]]);
  assertEquals(cat([b, a.mT, a.mT.mul(2)], 1).toArray(), [[3, 4, 1, 2], [5, 6, 2, 4]]);
  assertEquals(cat([a, zeros([0, 2]), b]).shape, [3, 2]);
  assertEquals(cat([a, int(7, 8).unsqueeze(0)]).dtype, "float32");
  assertEquals(stack([a, a.add(1)], 2).toArray(), [[[1, 2], [2, 3]]]);
  assertEquals(b.pad([1, 0, 0, 1], 9).toArray(), [[9, 3, 4], [9, 5, 6], [9, 9, 9]]);
  assertEquals(b.pad([-1, 1]).toArray(), [[4, 0], [6, 0]]);
  const ramp = arange(0, 7, 1, { dtype: "float32" });
  const lists = (ts: Tensor[]) => ts.map((t) => numbers(t));
  assertEquals(lists(ramp.split(3)), [[0, 1, 2], [3, 4, 5], [6]]);
  assertEquals(lists(ramp.split([2, 5])), [[0, 1], [2, 3, 4, 5, 6]]);
  assertEquals(lists(ramp.chunk(3)), [[0, 1, 2], [3, 4, 5], [6]]);
  assertEquals(lists(ramp.chunk(10)).length, 7);
});

eachDevice("extremes find the first of equals, and NaN", () => {
  const x = tensor([[1, 5, 5], [NaN, 2, NaN]]);
  assertEquals(numbers(x.argmax(1)), [1, 0]);
  assertEquals(numbers(x.amax(1)), [5, NaN]);
  assertEquals(x.argmax(0).dtype, "int64");
  assertEquals(tensor([[1, 2], [9, 3]]).argmax().item(), 2);
});
