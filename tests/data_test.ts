/** Datasets, samplers and the loader: what is in each batch, in what order, and when it is made. */
import { data, stepScope, type Tensor } from "@pta/core";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { numbers, throwsExactly } from "./assert.ts";
import { onRef } from "./devices.ts";
import { floats } from "./tensors.ts";

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

for (const isAsync of [false, true]) {
  const how = isAsync ? "a promise that is rejected" : "an error at once";
  Deno.test(`DataLoader: a sample that fails is named, by ${how}`, async () => {
    const missing = new Deno.errors.NotFound("no file a.png"), odd = new TypeError("no image");
    const failures: Record<number, unknown> = { 3: missing, 4: odd, 5: "text" };
    const get = (i: number) => {
      if (i in failures) throw failures[i];
      return i;
    };
    const dataset: data.Dataset = {
      length: 6,
      // deno-lint-ignore require-await
      get: isAsync ? async (i) => get(i) : get,
    };
    const wanted: [number, new (m: string) => Error, string][] = [
      [3, Error, "no file a.png (sample 3 of the dataset)"],
      [4, TypeError, "no image (sample 4 of the dataset)"],
      [5, Error, "text (sample 5 of the dataset)"],
    ];
    for (const [index, type, message] of wanted) {
      const loader = new data.DataLoader(dataset, {
        batchSampler: {
          length: 1,
          *[Symbol.iterator]() {
            yield [0, index];
          },
        },
      });
      const error = await assertRejects(async () => {
        for await (const _ of loader);
      }, Error);
      assertEquals(
        [error.constructor, error.message, error.cause],
        [type, message, failures[index]],
      );
    }
  });
}
