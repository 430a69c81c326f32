/** Datasets, samplers, joining and the loader: what is in each batch, in what order, and when it is made. */
import { data, nn, safetensors, stepScope, Tensor, tensor } from "@pta/core";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { numbers, throwsExactly } from "./assert.ts";
import { onRef } from "./devices.ts";
import { floats } from "./tensors.ts";

// deno-lint-ignore no-explicit-any -- batches are what the test's dataset makes them
const untyped = (x: unknown) => x as any;
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

/** A dataset of the numbers 0 to n - 1. */
const ramp = (n: number): data.Dataset<number> => ({ length: n, get: (i) => i });
/** The same, each after a while. */
const slowRamp = (n: number, log: string[] = []): data.Dataset<number> => ({
  length: n,
  get: async (i) => {
    log.push(`get ${i}`);
    await new Promise((done) => setTimeout(done, (n - i) % 3));
    return i;
  },
});
const batchesOf = (loader: data.DataLoader): number[][] =>
  [...loader].map((b: Tensor) => numbers(b));
async function asyncBatchesOf(loader: data.DataLoader): Promise<number[][]> {
  const all: number[][] = [];
  for await (const batch of loader) all.push(numbers(batch));
  return all;
}

onRef("TensorDataset: slices of every dtype, one by one and in batches", () => {
  const values = [[1, 0], [0, 1], [1, 1]];
  for (
    const dtype of [
      "float32",
      "float64",
      "float16",
      "bfloat16",
      "int32",
      "int64",
      "uint8",
      "bool",
    ] as const
  ) {
    const dataset = new data.TensorDataset(
      floats(values.flat(), [3, 2]).to(dtype),
      floats([7, 8, 9]),
    );
    assertEquals(dataset.length, 3);
    const [x, y] = dataset.get(1);
    assertEquals([x.dtype, x.toArray(), y.shape, y.item()], [dtype, [0, 1], [], 8]);
    const [[xs, ys]] = [...new data.DataLoader(dataset, { batchSize: 3 })];
    assertEquals([xs.dtype, xs.toArray(), ys.toArray()], [dtype, values, [7, 8, 9]]);
  }
  const plain = new data.TensorDataset(
    new data.HostField(Int32Array.of(1, 2, 3, 4), [2, 2], "int32"),
    BigInt64Array.of(5n, 6n),
  );
  assertEquals(plain.get(1).map((t) => [t.dtype, t.toArray()]), [["int32", [3, 4]], ["int64", 6]]);
});

onRef("TensorDataset: what the tensor becomes later does not matter", () => {
  const x = floats([1, 2, 3]), dataset = new data.TensorDataset(x);
  x.fill_(0).realize();
  assertEquals(
    batchesOf(new data.DataLoader(new data.Subset(ramp(3), [0, 1, 2]), { batchSize: 3 })),
    [[0, 1, 2]],
  );
  assertEquals([...new data.DataLoader(dataset, { batchSize: 3 })].map(([b]) => numbers(b)), [[
    1,
    2,
    3,
  ]]);
});

onRef("Subset, ConcatDataset: samples by their own positions", () => {
  const whole = new data.TensorDataset(floats([0, 10, 20, 30, 40]));
  const subset = new data.Subset(new data.Subset(whole, [4, 3, 1]), Int32Array.of(2, 0));
  assertEquals([...new data.DataLoader(subset, { batchSize: 2 })].map(([b]) => numbers(b)), [[
    10,
    40,
  ]]);
  const joined = new data.ConcatDataset([ramp(2), ramp(0), ramp(3)]);
  assertEquals([joined.length, upTo(5).map((i) => joined.get(i))], [5, [0, 1, 0, 1, 2]]);
  throwsExactly(() => joined.get(5), RangeError, "Cannot take sample 5: the datasets have 5");
  throwsExactly(() => joined.get(-1), RangeError, "Cannot take sample -1: the datasets have 5");
  throwsExactly(() => subset.get(2), RangeError, "Cannot take sample 2: the subset has 2");
});

onRef("randomSplit: parts are disjoint, complete, and repeatable", () => {
  const parts = data.randomSplit(ramp(10), [0.8, 0.15, 0.05], { seed: 3 });
  assertEquals(parts.map((p) => p.length), [9, 1, 0]);
  const all = parts.flatMap((p) => Array.from(p.indices));
  assertEquals(all.toSorted((a, b) => a - b), upTo(10));
  const again = data.randomSplit(ramp(10), [9, 1, 0], { seed: 3 });
  assertEquals(again.flatMap((p) => Array.from(p.indices)), all);
  const other = data.randomSplit(ramp(10), [9, 1, 0], { seed: 4 });
  assert(`${other[0].indices}` !== `${parts[0].indices}`);
  assertEquals(data.randomSplit(ramp(1), [1, 0]).map((p) => p.length), [1, 0]);
});

onRef("RandomSampler: the order is a function of seed and epoch alone", () => {
  const order = (seed: number, epoch: number) => {
    const sampler = new data.RandomSampler(50, { seed });
    sampler.setEpoch(epoch);
    return [...sampler];
  };
  assertEquals(order(1, 2), order(1, 2));
  assertEquals(order(1, 2).toSorted((a, b) => a - b), upTo(50));
  const different = new Set([order(1, 2), order(1, 3), order(2, 2), upTo(50)].map(String));
  assertEquals(different.size, 4);
});

onRef(
  "DistributedSampler: ranks share one order and give every sample as often as they say",
  () => {
    for (const [size, worldSize] of [[10, 3], [2, 4], [12, 3], [0, 2], [7, 1]]) {
      for (const shuffle of [true, false]) {
        for (const uneven of ["exact", "pad", "drop"] as const) {
          const ranks = upTo(worldSize).map((rank) => {
            const sampler = new data.DistributedSampler(size, {
              rank,
              worldSize,
              shuffle,
              uneven,
              seed: 5,
            });
            sampler.setEpoch(1);
            assertEquals([...sampler].length, sampler.length);
            return [...sampler];
          });
          const what = `${size} samples, ${worldSize} ranks, ${uneven}, shuffle ${shuffle}`;
          const given = ranks.flat().toSorted((a, b) => a - b);
          if (uneven === "exact") assertEquals(given, upTo(size), what);
          else assertEquals(new Set(ranks.map((r) => r.length)).size, 1, what);
          if (uneven === "pad") assertEquals(new Set(given), new Set(upTo(size)), what);
          if (uneven === "drop") assertEquals(new Set(given).size, given.length, what);
          // Side by side, the ranks walk the order of one process.
          const single = new data.RandomSampler(size, { seed: 5 });
          single.setEpoch(1);
          const order = shuffle ? [...single] : upTo(size);
          const together = upTo(Math.floor(size / worldSize)).flatMap((k) =>
            ranks.map((r) => r[k])
          );
          assertEquals(together, order.slice(0, together.length), what);
        }
      }
    }
    throwsExactly(
      () => new data.DistributedSampler(4, { rank: 2, worldSize: 2 }),
      RangeError,
      "Cannot sample for rank 2 of 2: ranks are 0 to the world size less 1",
    );
  },
);

onRef("DataLoader: batches, the last one, and lengths", () => {
  const make = (options: data.DataLoaderOptions) => new data.DataLoader(ramp(7), options);
  assertEquals(batchesOf(make({ batchSize: 3 })), [[0, 1, 2], [3, 4, 5], [6]]);
  assertEquals(batchesOf(make({ batchSize: 3, dropLast: true })), [[0, 1, 2], [3, 4, 5]]);
  assertEquals(batchesOf(make({ batchSize: 100 })), [upTo(7)]);
  assertEquals(batchesOf(make({ batchSize: 100, dropLast: true })), []);
  assertEquals(batchesOf(make({ sampler: new data.SequentialSampler(2) })), [[0], [1]]);
  const batchSampler = Object.assign([[5, 1], [0]], { length: 2 });
  assertEquals(batchesOf(make({ batchSampler })), [[5, 1], [0]]);
  assertEquals([
    make({ batchSize: 3 }).length,
    make({ batchSize: 3, dropLast: true }).length,
    make({ batchSampler }).length,
  ], [3, 2, 2]);
  assertEquals(batchesOf(new data.DataLoader(ramp(0), { batchSize: 2 })), []);
});

onRef("DataLoader: each pass is the next epoch, and setEpoch names one", () => {
  const make = () => new data.DataLoader(ramp(20), { batchSize: 20, shuffle: true, seed: 9 });
  const loader = make(), first = batchesOf(loader), second = batchesOf(loader);
  assertEquals(loader.epoch, 2);
  assert(`${first}` !== `${second}`);
  const other = make();
  other.setEpoch(1);
  assertEquals(batchesOf(other), second);
  assertEquals(first[0].toSorted((a, b) => a - b), upTo(20));
});

Deno.test("DataLoader: asynchronous data is fetched ahead, in order, no further than asked", async () => {
  const log: string[] = [];
  const loader = new data.DataLoader(slowRamp(8, log), { batchSize: 2, prefetch: 2 });
  const seen: number[][] = [];
  for await (const batch of loader) {
    if (seen.length === 0) {
      assertEquals(log.length, 4, "two batches are under way when the first arrives");
    }
    seen.push(numbers(batch));
  }
  assertEquals(seen, [[0, 1], [2, 3], [4, 5], [6, 7]]);
  assertEquals(log, upTo(8).map((i) => `get ${i}`));
  // Synchronous data comes the same way.
  assertEquals(await asyncBatchesOf(new data.DataLoader(ramp(3), { batchSize: 2 })), [[0, 1], [2]]);
  throwsExactly(
    () => [...new data.DataLoader(slowRamp(2))],
    TypeError,
    "Cannot iterate over asynchronous data with for: use for await",
  );
});

Deno.test("DataLoader: tensors belong to the step that takes the batch", async () => {
  const loader = new data.DataLoader(slowRamp(6), { batchSize: 2, prefetch: 3 });
  const batches = loader[Symbol.asyncIterator]();
  for (let i = 0; i < 3; i++) {
    using _scope = stepScope();
    const { value } = await batches.next();
    assertEquals(numbers(value as Tensor), [2 * i, 2 * i + 1]);
  }
});

Deno.test("DataLoader: a sample that fails ends the loop when its batch is due, and only then", async () => {
  const broken: data.Dataset = {
    length: 6,
    get: (i) => i < 4 ? Promise.resolve(i) : Promise.reject(new RangeError(`no sample ${i}`)),
  };
  const seen: number[][] = [];
  await assertRejects(
    async () => {
      for await (const batch of new data.DataLoader(broken, { batchSize: 2, prefetch: 3 })) {
        seen.push(numbers(batch));
      }
    },
    RangeError,
    "no sample 4",
  );
  assertEquals(seen, [[0, 1], [2, 3]]);
  // Nobody waits for what was fetched ahead of a loop that is left.
  for await (const _ of new data.DataLoader(broken, { batchSize: 2, prefetch: 3 })) break;
  await new Promise((done) => setTimeout(done, 1));
});

onRef("defaultCollate: by what samples are made of", () => {
  const samples = [
    { x: Float32Array.of(1, 2), y: 3n, w: 0.5, ok: true, name: "a", pair: [1, floats([5])] },
    { x: Float32Array.of(3, 4), y: 4n, w: 1.5, ok: false, name: "b", pair: [2, floats([6])] },
  ];
  const batch = data.defaultCollate(samples) as Record<string, unknown>;
  const shown = Object.fromEntries(
    Object.entries(batch).map((
      [key, t],
    ) => [key, t instanceof Tensor ? [t.dtype, t.toArray()] : t]),
  );
  const pair = (shown.pair as Tensor[]).map((t) => t.toArray());
  assertEquals({ ...shown, pair }, {
    x: ["float32", [[1, 2], [3, 4]]],
    y: ["int64", [3, 4]],
    w: ["float32", [0.5, 1.5]],
    ok: ["bool", [1, 0]],
    name: ["a", "b"],
    pair: [[1, 2], [[5], [6]]],
  });
  // Scalars that are tensors stack to one dimension.
  assertEquals((data.defaultCollate([tensor(1), tensor(2)]) as Tensor).shape, [2]);
});

onRef("defaultCollate: samples that differ are errors that say where", () => {
  const tail = "; give a collate function";
  const cases: [unknown[], string][] = [
    [
      [1, "a"],
      "Cannot join samples: sample is a string in sample 1 of the batch and a number in sample 0",
    ],
    [
      [[1, 2], [1]],
      "Cannot join samples: sample is an array of 1 in sample 1 of the batch and an array of 2 in sample 0",
    ],
    [
      [[1, 2], [1, null]],
      "Cannot join samples: sample[1] is null in sample 1 of the batch and a number in sample 0",
    ],
    [
      [{ x: { a: Float32Array.of(1) } }, { x: { a: Float32Array.of(1, 2) } }],
      "Cannot join samples: sample.x.a is [2] float32 in sample 1 of the batch and [1] float32 in sample 0",
    ],
    [
      [Float32Array.of(1), Int32Array.of(1)],
      "Cannot join samples: sample is [1] int32 in sample 1 of the batch and [1] float32 in sample 0",
    ],
    [
      [{ a: 1, b: 2 }, { a: 1 }],
      "Cannot join samples: sample is {a} in sample 1 of the batch and {a,b} in sample 0",
    ],
    [
      [Float32Array.of(1), 1],
      "Cannot join samples: sample is a number in sample 1 of the batch and an array or tensor in sample 0",
    ],
  ];
  for (const [samples, message] of cases) {
    throwsExactly(() => data.defaultCollate(samples), TypeError, message + tail);
  }
});

onRef("DataLoader: a collate function gets the samples and decides", () => {
  const loader = new data.DataLoader<string>(ramp(3), {
    batchSize: 2,
    collate: (samples: number[]) => samples.join("+"),
  });
  assertEquals([...loader], ["0+1", "2"]);
  // It also gets those of a dataset that could join them itself.
  const joined = new data.DataLoader<number>(new data.TensorDataset(floats([1, 2])), {
    batchSize: 2,
    collate: (samples: Tensor[][]) => samples.reduce((sum, [x]) => sum + x.item(), 0),
  });
  assertEquals([...joined], [3]);
});

onRef("data: bad arguments are errors at the call", () => {
  const set = ramp(3);
  const make = (options: data.DataLoaderOptions) => () => new data.DataLoader(set, options);
  const cases: [() => unknown, new (m: string) => Error, string][] = [
    [
      make({ batchSize: 0 }),
      RangeError,
      "Cannot make batches of 0 samples: it must be a whole number of at least 1",
    ],
    [
      make({ batchSize: 2.5 }),
      RangeError,
      "Cannot make batches of 2.5 samples: it must be a whole number of at least 1",
    ],
    [
      make({ prefetch: 0 }),
      RangeError,
      "Cannot prefetch 0 batches: it must be a whole number of at least 1",
    ],
    [
      make({ shuffle: true, sampler: new data.SequentialSampler(3) }),
      TypeError,
      "Cannot use both sampler and shuffle: the sampler decides the order",
    ],
    [
      make({ batchSize: 2, batchSampler: Object.assign([[0]], { length: 1 }) }),
      TypeError,
      "Cannot use both batchSampler and batchSize: the batchSampler decides the batches",
    ],
    [
      () => new data.DataLoader(untyped([1, 2, 3])),
      TypeError,
      "Cannot load from this dataset: it must have a length and a method get(index)",
    ],
    [
      () => make({})().setEpoch(-1),
      RangeError,
      "Cannot set the epoch to -1: it must be a whole number of at least 0",
    ],
    [() => new data.TensorDataset(), TypeError, "Cannot make a TensorDataset of no tensors"],
    [
      () => new data.TensorDataset(tensor(1)),
      TypeError,
      "Cannot use field 0 as samples: it has no dimension",
    ],
    [
      () => new data.TensorDataset(floats([1, 2]), floats([1])),
      TypeError,
      "Cannot join field 1 of 1 samples and field 0 of 2: first sizes differ",
    ],
    [
      () => new data.TensorDataset(untyped([1, 2])),
      TypeError,
      "Cannot use object as a field of a dataset: it must be a tensor or a typed array",
    ],
    [
      () => new data.TensorDataset(floats([1])).get(1),
      RangeError,
      "Cannot take sample 1: there are 1",
    ],
    [
      () => new data.TensorDataset(floats([1])).getBatch([0, 0.5]),
      RangeError,
      "Cannot take sample 0.5: there are 1",
    ],
    [
      () => new data.Subset(set, [3]),
      RangeError,
      "Cannot take sample 3 for a subset: the dataset has 3",
    ],
    [() => new data.ConcatDataset([]), TypeError, "Cannot concatenate no datasets"],
    [
      () => data.randomSplit(set, [2, 2]),
      RangeError,
      "Cannot split 3 samples into [2, 2]: lengths must sum to 3, fractions to 1",
    ],
    [
      () => new data.HostField(Float32Array.of(1, 2), [3], "float32"),
      TypeError,
      "Cannot use 2 elements as [3]: that shape has 3",
    ],
  ];
  for (const [call, type, message] of cases) throwsExactly(call, type, message);
});

onRef("data: a model goes through bytes and learns from batches", () => {
  const model = new nn.Linear(1, 1);
  const copy = new nn.Linear(1, 1);
  copy.loadStateDict(safetensors.load(safetensors.save(model.stateDict())));
  const dataset = new data.TensorDataset(floats([1, 2, 3], [3, 1]));
  for (const [x] of new data.DataLoader(dataset, { batchSize: 2 })) {
    assertEquals(numbers(copy.forward(x)), numbers(model.forward(x)));
  }
});
