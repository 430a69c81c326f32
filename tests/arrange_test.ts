/** Movement beyond the basic views, joining and square-bracket indexing: values, views, gradients, errors. */
import { assert, assertEquals } from "@std/assert";
import {
  arange,
  blockDiag,
  broadcastShapes,
  broadcastTensors,
  cartesianProd,
  cat,
  chunkCat,
  combinations,
  gradcheck,
  type Index,
  meshgrid,
  randn,
  stack,
  type Tensor,
  tensor,
  zeros,
} from "@pta/core";
import { viewParts } from "../core/node.ts";
import { throwsExactly } from "./assert.ts";
import { devices, eachDevice, on } from "./devices.ts";

const ramp = (...shape: number[]): Tensor =>
  arange(0, shape.reduce((a, b) => a * b, 1), 1, { dtype: "float32" }).reshape(shape);
const places = (...x: number[]): Tensor => tensor(x, { dtype: "int64" });
const leaf = (...shape: number[]): Tensor => randn(shape, { dtype: "float64", requiresGrad: true });

eachDevice("windows, diagonals and turns give the elements of their definition", () => {
  const x = ramp(3, 4);
  assertEquals(x.unfold(1, 3, 1).toArray(), [
    [[0, 1, 2], [1, 2, 3]],
    [[4, 5, 6], [5, 6, 7]],
    [[8, 9, 10], [9, 10, 11]],
  ]);
  assertEquals(x.unfold(0, 2, 1).shape, [2, 4, 2]);
  assertEquals(x.T.unfold(0, 1, 3).toArray(), [[[0], [4], [8]], [[3], [7], [11]]]);
  assertEquals(x.diagonal().toArray(), [0, 5, 10]);
  assertEquals(x.diagonal(-1).toArray(), [4, 9]);
  assertEquals(x.diagonal(1, 1, 0).toArray(), [4, 9]);
  assertEquals(x.flip(0).diagonal(3).toArray(), [11]);
  assertEquals(x.diagonal(4).shape, [0]);
  assertEquals(x.rot90().toArray(), [[3, 7, 11], [2, 6, 10], [1, 5, 9], [0, 4, 8]]);
  assertEquals(x.rot90(-1).toArray(), x.rot90(3).toArray());
  assertEquals(x.roll([1, -1], [0, 1]).toArray(), [[9, 10, 11, 8], [1, 2, 3, 0], [5, 6, 7, 4]]);
  assertEquals(x.tril(-1).toArray(), [[0, 0, 0, 0], [4, 0, 0, 0], [8, 9, 0, 0]]);
  assertEquals(x.triu(2).toArray(), [[0, 0, 2, 3], [0, 0, 0, 7], [0, 0, 0, 0]]);
});

Deno.test("windows and diagonals are views", () => {
  on("null", () => {
    const x = randn([4, 6, 6]).realize();
    for (
      const view of [
        x.unfold(1, 3, 2),
        x.unfold(0, 2, 1).unfold(1, 2, 2),
        x.diagonal(1, 1, 2),
        x.mT.diagonal(0, 0, 1),
      ]
    ) assert(viewParts(view.node).base === x.node);
  });
});

const gradients: Record<string, (x: Tensor) => Tensor> = {
  "overlapping windows": (x) => x.unfold(1, 3, 1),
  "windows with a step": (x) => x.unfold(1, 3, 2),
  "windows with gaps": (x) => x.unfold(1, 2, 3),
  "windows of windows": (x) => x.unfold(0, 2, 1).unfold(1, 4, 2),
  "many overlapping windows": (x) => x.repeat(1, 4).unfold(1, 20, 1),
  "windows of a transposed tensor": (x) => x.t().unfold(0, 4, 3),
  "windows of one element": (x) => x.unfold(0, 1, 1),
  "a diagonal": (x) => x.diagonal(1).mul(2),
  "a low diagonal": (x) => x.diagonal(-2),
  "a diagonal of three dimensions": (x) => x.unflatten(1, [2, 4]).diagonal(-1, 2, 0),
  diagEmbed: (x) => x.diagEmbed(-1, 0, 2),
  diagonalScatter: (x) => x.diagonalScatter(x.narrow(1, 0, 1).reshape(5).narrow(0, 0, 4), -1),
  "diagonalScatter of exchanged dims": (x) =>
    x.diagonalScatter(x.narrow(0, 0, 1).reshape(8).narrow(0, 0, 5), 0, 1, 0),
  roll: (x) => x.roll(3, 1),
  tril: (x) => x.tril(),
  "repeat and tile": (x) => x.repeat(2, 1, 2).tile(2),
  repeatInterleave: (x) => x.repeatInterleave(places(0, 2, 1, 3, 0), 0),
  index: (x) => x.index([0, 0, 3], { start: 1, stop: 7, step: 2 }),
  "index by two": (x) => x.index(places(0, 4, -1), places(2, 2, 2)),
  sliceScatter: (x) => x.sliceScatter(x.narrow(1, 0, 3).mul(3), 1, 1, 7, 2),
  blockDiag: (x) => blockDiag(x, x.narrow(0, 0, 2)),
};

eachDevice("gradients of movement agree with finite differences", () => {
  for (const fn of Object.values(gradients)) gradcheck(fn, [leaf(5, 8)]);
});

eachDevice("windows and diagonals fold into what reads and what makes them", () => {
  const x = ramp(4, 6);
  const y = x.mul(2).unfold(1, 3, 1).sum(-1).diagonal().add(1);
  assertEquals(y.toArray(), [7, 49, 91, 133]);
  assertEquals(x.unfold(1, 2, 2).mT.matmul(x.unfold(1, 2, 2)).shape, [4, 2, 2]);
  assertEquals(x.unfold(1, 2, 1).matmul(tensor([[1], [-1]])).sum().item(), -20);
});

/** Every index with its result on `ramp(3, 4, 5)`, as a shape and the first and last element. */
const brackets: readonly (readonly [readonly Index[], readonly number[], number, number])[] = [
  [[1], [4, 5], 20, 39],
  [[-1, "...", 0], [4], 40, 55],
  [[{}, null, 2], [3, 1, 5], 10, 54],
  [["...", { start: -2 }], [3, 4, 2], 3, 59],
  [[{ start: 0, stop: 3, step: 2 }, 1], [2, 5], 5, 49],
  [[[0, 2, -1]], [3, 4, 5], 0, 59],
  [[{}, [3, 0]], [3, 2, 5], 15, 44],
  [[[0, 1], {}, [4, 2]], [2, 4], 4, 37],
  [[{}, [0, 1], [4, 2]], [3, 2], 4, 47],
  [[0, {}, [1, 3]], [4, 2], 1, 18],
  [[null, [1]], [1, 1, 4, 5], 20, 39],
];

eachDevice("square brackets", () => {
  const x = ramp(3, 4, 5);
  for (const [items, shape, first, last] of brackets) {
    const y = x.index(...items), flat = y.reshape(-1), text = JSON.stringify(items);
    assertEquals(y.shape, shape, text);
    assertEquals([flat.select(0, 0).item(), flat.select(0, -1).item()], [first, last], text);
  }
  const grid = places(0, 2).unsqueeze(1);
  assertEquals(x.index(grid, places(1, 3, 0), 0).toArray(), [[5, 15, 0], [45, 55, 40]]);
  assertEquals(x.index(tensor(1, { dtype: "int64" })).shape, [4, 5]);
  assertEquals(x.index(x.gt(56)).toArray(), [57, 58, 59]);
  assertEquals(x.index({}, tensor([true, false, false, true])).shape, [3, 2, 5]);
  assertEquals(x.index(tensor([false, false, false])).shape, [0, 4, 5]);
  assertEquals(x.index(tensor([true, false, true]), { start: 1 }, [4, 3]).shape, [2, 3]);
});

eachDevice("an index out of range is refused, also among several", () => {
  const x = ramp(3, 4);
  throwsExactly(
    () => x.index([3]),
    RangeError,
    "Cannot index with 3: the dimension has size 3",
  );
  for (const [a, b] of [[0, 4], [3, 0], [-4, 1], [0, -5]]) {
    throwsExactly(
      () => x.index(places(a), places(b)).data(),
      RangeError,
      "Cannot index with -1: the dimension has size 12",
    );
  }
});

eachDevice("joining", () => {
  const a = ramp(2, 2), b = ramp(1);
  assertEquals(cat([zeros([0]), a, a.narrow(0, 0, 0)]).toArray(), a.toArray());
  assertEquals(cat([places(1), tensor([0.5])]).dtype, "float32");
  assertEquals(blockDiag(a, b.add(7), zeros([0, 1])).toArray(), [
    [0, 1, 0, 0],
    [2, 3, 0, 0],
    [0, 0, 7, 0],
  ]);
  assertEquals(cartesianProd(places(1, 2), places(3, 4)).toArray(), [[1, 3], [1, 4], [2, 3], [
    2,
    4,
  ]]);
  assertEquals(combinations(places(5, 6, 7)).toArray(), [[5, 6], [5, 7], [6, 7]]);
  assertEquals(combinations(places(5, 6), 2, true).toArray(), [[5, 5], [5, 6], [6, 6]]);
  const [u, v] = meshgrid([places(1, 2), places(3, 4, 5)], { indexing: "xy" });
  assertEquals([u.toArray(), v.toArray()], [[[1, 2], [1, 2], [1, 2]], [[3, 3], [4, 4], [5, 5]]]);
  assertEquals(broadcastTensors(a, b, zeros([3, 1, 1])).map((t) => t.shape), [
    [3, 2, 2],
    [3, 2, 2],
    [3, 2, 2],
  ]);
  assertEquals(broadcastShapes([5, 1], 4, []), [5, 4]);
  assertEquals(chunkCat([ramp(3), ramp(2)], 0, 2).toArray(), [[0, 1, 0], [2, 0, 1]]);
  assertEquals(ramp(7).tensorSplit(3).map((t) => t.shape[0]), [3, 2, 2]);
  assertEquals(ramp(7).tensorSplit([2, 5, 9]).map((t) => t.shape[0]), [2, 3, 2, 0]);
  assertEquals(ramp(0).chunk(3).length, 3);
});

eachDevice("every dtype moves", () => {
  for (const dtype of ["float64", "float16", "bfloat16", "int32", "int64", "uint8"] as const) {
    const x = ramp(3, 3).to(dtype);
    for (
      const y of [x.unfold(0, 2, 1), x.diagonal(), x.roll(1, 0), x.tril(), x.diagEmbed(), x.T]
    ) assertEquals(y.dtype, dtype);
    assertEquals(x.diagonal().float().toArray(), [0, 4, 8]);
    assertEquals(x.tril().index([1, 2], [1, 0]).float().toArray(), [4, 6]);
  }
  assertEquals(ramp(2, 2).gt(1).tril().toArray(), [[0, 0], [1, 1]]);
});

const x = () => zeros([2, 3]);
const errors: readonly (readonly [() => unknown, new (m: string) => Error, string])[] = [
  [
    () => x().unfold(1, 4, 1),
    RangeError,
    "Cannot unfold dim 1 of [2, 3] into windows of 4: it has 3",
  ],
  [() => x().unfold(1, 2, 0), RangeError, "Cannot unfold with step 0: it must be 1 or more"],
  [
    () => x().diagonal(0, 1, -1),
    RangeError,
    "Cannot take the diagonal of [2, 3] over dims 1 and -1: they are one",
  ],
  [
    () => zeros([2, 2, 2]).diag(),
    TypeError,
    "Cannot take the diag of [2, 2, 2]: 1 or 2 dimensions are needed",
  ],
  [
    () => x().diagonalScatter(zeros([3])),
    TypeError,
    "Cannot write [3] on the diagonal of [2, 3]: it is [2]",
  ],
  [
    () => zeros([3]).tril(),
    TypeError,
    "Cannot take the tril of [3]: at least 2 dimensions are needed",
  ],
  [
    () => x().roll([1, 2], 0),
    TypeError,
    "Cannot roll dims [0] by [1, 2]: name as many dims as shifts",
  ],
  [
    () => x().rot90(1, [1, 1]),
    RangeError,
    "Cannot turn in the plane of dims [1, 1]: two different ones are needed",
  ],
  [
    () => x().movedim([0, 0], [0, 1]),
    RangeError,
    "Cannot move dims [0, 0] to [0, 1]: each dim and each place must be named once",
  ],
  [
    () => x().sumToSize(2, 2),
    TypeError,
    "Cannot sum [2, 3] to [2, 2]: it does not broadcast to that",
  ],
  [
    () => x().hsplit(2),
    RangeError,
    "Cannot hsplit [2, 3] into 2 sections: the size 3 is no multiple",
  ],
  [() => zeros([3]).vsplit(1), TypeError, "Cannot vsplit [3]: at least 2 dimensions are needed"],
  [
    () => x().repeat(2),
    TypeError,
    "Cannot repeat [2, 3] by [2]: give a count for each dim",
  ],
  [
    () => x().repeatInterleave(places(1, 2), 1),
    TypeError,
    "Cannot repeat dim 1 of [2, 3] by [2] int64 on ref: 3 integers are needed",
  ],
  [
    () => x().index(0, 0, 0),
    TypeError,
    "Cannot index [2, 3] with 3 indices: they name 3 dimensions",
  ],
  [
    () => x().index(tensor([true, false, true])),
    TypeError,
    "Cannot index [2] by a mask of shape [3]: the shapes must be equal",
  ],
  [
    () => x().index(zeros([1])),
    TypeError,
    "Cannot index by a float32 tensor: int32, int64 or bool is needed",
  ],
  [
    () => x().index("...", "..."),
    TypeError,
    'Cannot index [2, 3] with 2 indices: "..." may stand once',
  ],
  [
    () => stack([x(), zeros([2])]),
    TypeError,
    "Cannot stack [2, 3] and [2]: the shapes must be equal",
  ],
  [
    () => combinations(x()),
    TypeError,
    "Cannot combine elements of [2, 3]: a 1-D tensor is needed",
  ],
  [
    () => meshgrid([x()]),
    TypeError,
    "Cannot make a grid of [2, 3] float32 on ref: 1-D tensors of one dtype are needed",
  ],
  [
    () => broadcastShapes([2, 3], [2]),
    TypeError,
    "Cannot broadcast [2, 3] and [2]: sizes differ at dim 1",
  ],
];

Deno.test("bad arguments of movement are refused at the call", () => {
  assertEquals(devices[0], "ref");
  on("ref", () => {
    for (const [fn, type, message] of errors) throwsExactly(fn, type, message);
  });
});
