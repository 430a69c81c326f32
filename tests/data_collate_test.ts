/** Joining samples into batches; bad arguments; a model that learns from batches. */
import { data, nn, safetensors, Tensor, tensor } from "@pta/core";
import { assertEquals } from "@std/assert";
import { numbers, throwsExactly } from "./assert.ts";
import { onRef } from "./devices.ts";
import { floats } from "./tensors.ts";

// deno-lint-ignore no-explicit-any -- batches are what the test's dataset makes them
const untyped = (x: unknown) => x as any;

/** A dataset of the numbers 0 to n - 1. */
const ramp = (n: number): data.Dataset<number> => ({ length: n, get: (i) => i });

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
