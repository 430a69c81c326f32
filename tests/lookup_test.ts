/** Embeddings and bags of them: agreement with looking up and reducing, refusals. */
import { grad, nn, Parameter, tensor } from "@pta/core";
import { assert, assertEquals } from "@std/assert";
import { closeNumbers, numbers, throwsExactly } from "./assert.ts";
import { eachDevice, on } from "./devices.ts";
import { ints, noise } from "./tensors.ts";

const F = nn.functional;

eachDevice("embeddingBag: is what looking up and reducing gives, in both layouts", () => {
  const table = noise([6, 3], 14).float(), index = ints([1, 5, 5, 0, 2, 3]);
  const weights = noise([6], 15).float(), offsets = ints([0, 2, 2, 5]);
  const rows = F.embedding(index, table).toArray() as number[][];
  const bags = [[0, 1], [], [2, 3, 4], [5]], w = numbers(weights);
  const reduce: Record<string, (bag: number[], d: number) => number> = {
    sum: (bag, d) => bag.reduce((s, i) => s + rows[i][d], 0),
    mean: (bag, d) => bag.length && bag.reduce((s, i) => s + rows[i][d], 0) / bag.length,
    max: (bag, d) => bag.length && Math.max(...bag.map((i) => rows[i][d])),
    weighted: (bag, d) => bag.reduce((s, i) => s + rows[i][d] * w[i], 0),
  };
  for (const [name, fn] of Object.entries(reduce)) {
    const mode = name === "weighted" ? "sum" : name as "sum" | "mean" | "max";
    const perSampleWeights = name === "weighted" ? weights : undefined;
    const expected = bags.flatMap((bag) => [0, 1, 2].map((d) => fn(bag, d)));
    const got = F.embeddingBag(index, table, { offsets, mode, perSampleWeights });
    closeNumbers(numbers(got), expected, {}, name);
    const last = ints([0, 2, 2, 5, 6]);
    const ended = F.embeddingBag(index, table, {
      offsets: last,
      mode,
      perSampleWeights,
      includeLastOffset: true,
    });
    closeNumbers(numbers(ended), expected, {}, `${name} with an end`);
    const fixed = F.embeddingBag(index.reshape(2, 3), table, {
      mode,
      perSampleWeights: perSampleWeights?.reshape(2, 3),
      paddingIdx: 5,
    });
    const unpadded = [[0], [3, 4, 5]].flatMap((bag) => [0, 1, 2].map((d) => fn(bag, d)));
    closeNumbers(numbers(fixed), unpadded, {}, `${name} with padding`);
  }
  const layer = new nn.EmbeddingBag(6, 3, { paddingIdx: -1, mode: "max", maxNorm: 2 });
  assertEquals(`${layer}`, "EmbeddingBag(6, 3, maxNorm=2, mode=max, paddingIdx=5)");
  assertEquals(layer.forward(index, offsets).shape, [4, 3]);
});

eachDevice(
  "embedding: long rows are shortened in the table; gradients by frequency; one-hot",
  () => {
    const table = new Parameter(tensor([[3, 4], [1, 1], [6, 8], [0, 0.1]]));
    const y = F.embedding(ints([0, 3, 0]), table, { maxNorm: 1 });
    closeNumbers(numbers(y), [0.6, 0.8, 0, 0.1, 0.6, 0.8], { atol: 1e-6 });
    closeNumbers(numbers(table), [0.6, 0.8, 1, 1, 6, 8, 0, 0.1], { atol: 1e-6 });
    const [g] = grad(F.embedding(ints([1, 1, 3, 1]), table, { scaleGradByFreq: true }).sum(), [
      table,
    ]);
    closeNumbers(numbers(g), [0, 0, 1, 1, 0, 0, 1, 1]);
    assertEquals(F.oneHot(ints([2, 0])).toArray(), [[0, 0, 1], [1, 0, 0]]);
    assertEquals(F.oneHot(ints([1]), 2).dtype, "int64");
  },
);

Deno.test("lookup: bad arguments are refused, an index that names no row when it is computed", () => {
  on("cpu", () => {
    const table = noise([3, 2], 1).float(), index = ints([0, 1, 2]);
    const bag = (options: object, i = index) => () => F.embeddingBag(i, table, options);
    const offsets = ints([0, 1]);
    const cases: readonly (readonly [() => unknown, new (message: string) => Error, string])[] = [
      [
        bag({ offsets, mode: "min" }),
        RangeError,
        'Cannot apply EmbeddingBag with mode "min": it must be "sum", "mean" or "max"',
      ],
      [
        bag({ offsets, perSampleWeights: index.float() }),
        RangeError,
        'Cannot bag by "mean" with perSampleWeights: only "sum" takes them',
      ],
      [
        bag({ offsets, mode: "sum", perSampleWeights: offsets.float() }),
        TypeError,
        "Cannot bag embeddings at [3] with perSampleWeights [2]: they must be [3]",
      ],
      [bag({}), TypeError, "Cannot bag embeddings at [3]: it must be [B, L], or [n] with offsets"],
      [
        bag({ offsets }, index.reshape(1, 3)),
        TypeError,
        "Cannot bag embeddings at [1, 3] with offsets: its rows are the bags",
      ],
      [
        bag({ offsets: ints([0, 4]), mode: "max" }),
        RangeError,
        "Cannot bag 3 embeddings from offset 4: offsets start at 0 and never fall or pass the end",
      ],
      [
        bag({ offsets, paddingIdx: 3 }),
        RangeError,
        "Cannot bag embeddings with paddingIdx 3: the table has 3 rows",
      ],
      [
        () => new nn.EmbeddingBag(3, 2, { mode: "max", scaleGradByFreq: true }),
        RangeError,
        'Cannot bag by "max" with scaleGradByFreq: only "sum" and "mean" take it',
      ],
      [
        () => F.oneHot(index, 0),
        RangeError,
        "Cannot one-hot 0 classes: it must be a whole number of at least 1, or -1",
      ],
      [
        () => F.oneHot(index.float()),
        TypeError,
        "Cannot one-hot float32: classes must be integers",
      ],
    ];
    for (const [fn, kind, message] of cases) throwsExactly(fn, kind, message);
    const late = [F.oneHot(index, 2), F.embedding(ints([3]), table)];
    for (const y of late) {
      let thrown: unknown;
      try {
        y.data();
      } catch (error) {
        thrown = error;
      }
      assert(thrown instanceof RangeError, String(thrown));
    }
  });
});
