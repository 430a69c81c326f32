/** Finders of learning rate and batch size, which leave no trace; the profiler; hooks that are misspelt. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { backendOf, manualSeed, nn, optim, randn, type Tensor, zeros } from "@pta/core";
import {
  type Callback,
  callback,
  CallbackError,
  findBatchSize,
  findLearningRate,
  isOutOfMemory,
  profiler,
  Trainer,
  withBatchSizeThatFits,
} from "@pta/trainer";
import {
  QuietTrainer,
  smallDataset,
  smallModel,
  smallTrainer,
  weightsOf,
} from "./trainer_support.ts";

/** Everything that a search must not change. */
function traces(model: nn.Module, optimizer: optim.Optimizer) {
  const state = optimizer.stateDict();
  const numbers = (t: unknown) =>
    typeof t === "object" && t !== null && "data" in t
      ? Array.from((t as Tensor).data() as Float32Array)
      : t;
  return {
    weights: weightsOf(model),
    groups: state.param_groups,
    state: Object.values(state.state).map((s) =>
      Object.entries(s).map(([k, t]) => [k, numbers(t)])
    ),
    initialLrs: optimizer.paramGroups.map((g) => g.initialLr),
    modes: model.modules().map((m) => m.training),
    draw: Array.from(randn([3]).data() as Float32Array),
  };
}

/** A model and an optimizer with momenta from some training. */
async function trained() {
  const model = smallModel(2);
  const [head, ...rest] = model.parameters().reverse();
  const optimizer = new optim.AdamW([{ params: [head], lr: 0.2 }, { params: rest }], { lr: 0.1 });
  const trainer = smallTrainer({ model, optimizer, seed: undefined });
  await trainer.train({ trainDataset: smallDataset(16), numEpochs: 1, perDeviceBatchSize: 4 });
  model.children()[1].eval();
  return { model, optimizer };
}

Deno.test("findLearningRate: a curve, a suggestion, and everything as it was", async () => {
  const { model, optimizer } = await trained();
  manualSeed(5);
  const before = traces(model, optimizer);
  manualSeed(5);
  const found = await findLearningRate({
    model,
    optimizer,
    lossFunc: new nn.CrossEntropyLoss(),
    trainDataset: smallDataset(64),
    perDeviceBatchSize: 16,
    minLr: 1e-5,
    maxLr: 100,
    steps: 60,
  });
  assertEquals(traces(model, optimizer), before);
  assertEquals(found.rates.length, found.losses.length);
  assertAlmostEquals(found.rates[0], 1e-5, 1e-12);
  const ratio = found.rates[1] / found.rates[0];
  found.rates.slice(1).forEach((r, i) => assertAlmostEquals(r / found.rates[i], ratio, 1e-9));
  assertAlmostEquals(ratio, (1e7) ** (1 / 59), 1e-9);
  // Smoothed as an average with bias correction.
  let average = 0;
  found.losses.forEach((loss, i) => {
    average = 0.9 * average + 0.1 * loss;
    assertAlmostEquals(found.smoothed[i], average / (1 - 0.9 ** (i + 1)), 1e-9);
  });
  assert(found.suggestion !== undefined && found.suggestion > 1e-4 && found.suggestion < 10);
  const least = found.smoothed.indexOf(Math.min(...found.smoothed));
  assertEquals(found.upper, found.rates[least] / 10);
  const svg = found.plot({ title: "search" });
  assert(svg.includes("<circle") && svg.includes("learning rate") && svg.includes("search"));
  // The same search finds the same.
  manualSeed(5);
  const again = await findLearningRate({
    model,
    optimizer,
    lossFunc: new nn.CrossEntropyLoss(),
    trainDataset: smallDataset(64),
    perDeviceBatchSize: 16,
    minLr: 1e-5,
    maxLr: 100,
    steps: 60,
  });
  assertEquals(again.losses, found.losses);
});

Deno.test("findLearningRate: groups keep their proportions; own trainers; the search ends when the loss grows", async () => {
  const { model, optimizer } = await trained();
  const rates: number[][] = [];
  class Watching extends QuietTrainer {
    override optimizerStep(): void {
      rates.push(optimizer.paramGroups.map((g) => g.lr));
      super.optimizerStep();
    }
  }
  const found = await findLearningRate({
    model,
    optimizer,
    lossFunc: new nn.CrossEntropyLoss(),
    trainDataset: smallDataset(64),
    maxLr: 1e6,
    steps: 80,
    stopFactor: 2,
    createTrainer: (o) => new Watching(o),
  });
  assert(found.rates.length < 80, `${found.rates.length}`);
  rates.forEach(([a, b]) => assertAlmostEquals(a / b, 2, 1e-6));
  assertAlmostEquals(rates[0][0], 1e-7, 1e-12);
});

Deno.test("findLearningRate: a failure leaves everything as it was too, and bad ranges are errors", async () => {
  const { model, optimizer } = await trained();
  manualSeed(5);
  const before = traces(model, optimizer);
  manualSeed(5);
  const options = {
    model,
    optimizer,
    lossFunc: new nn.CrossEntropyLoss(),
    trainDataset: smallDataset(16),
  };
  let calls = 0;
  const failing = {
    ...options,
    lossFunc: (a: Tensor, b: Tensor) => {
      if (++calls === 5) throw new Error("lost");
      return nn.functional.crossEntropy(a, b);
    },
    createTrainer: (o: ConstructorParameters<typeof Trainer>[0]) =>
      new Trainer({ ...o, capture: false }),
  };
  await assertRejects(() => findLearningRate(failing), Error, "lost");
  assertEquals(traces(model, optimizer), before);
  await assertRejects(
    () => findLearningRate({ ...options, minLr: 1, maxLr: 0.1 }),
    RangeError,
    "Cannot search from minLr 1 to maxLr 0.1",
  );
  await assertRejects(() => findLearningRate({ ...options, steps: 2 }), RangeError, "2 steps");
  await assertRejects(
    () => findLearningRate({ ...options, optimizer: undefined }),
    ReferenceError,
    "without an optimizer",
  );
});

/** What the device says when it has no room; 16 GiB are more than any CPU run here has. */
function deviceIsFull(): unknown {
  try {
    backendOf("cpu").alloc("float32", 2 ** 32);
  } catch (error) {
    return error;
  }
  throw new Error("the device has 16 GiB");
}

Deno.test("isOutOfMemory: what the device says, through causes and aggregates, and nothing else", () => {
  const full = deviceIsFull();
  assert(full instanceof RangeError, `${full}`);
  assert(isOutOfMemory(full));
  assert(isOutOfMemory(new CallbackError("a", "onTrainStepEnd", full)));
  assert(isOutOfMemory(new AggregateError([new Error("x"), full])));
  assert(!isOutOfMemory(new RangeError("Cannot allocate -1 elements: not a whole number")));
  assert(!isOutOfMemory(new TypeError("Cannot add [2] and [3]: sizes differ at dim 0")));
  assert(!isOutOfMemory("Cannot allocate 3 elements of float32"));
});

Deno.test("withBatchSizeThatFits: halves until it fits, passes other errors on", async () => {
  const tried: number[] = [], full = deviceIsFull();
  const { result, batchSize } = await withBatchSizeThatFits((n) => {
    tried.push(n);
    if (n > 20) throw full;
    return `fits ${n}`;
  }, { start: 100 });
  assertEquals([tried, result, batchSize], [[100, 50, 25, 12], "fits 12", 12]);
  const ninths = await withBatchSizeThatFits((n) => {
    if (n > 100) throw full;
    return n;
  }, { reduce: (n) => n * 0.9 });
  assertEquals(ninths.batchSize, 92);
  await assertRejects(
    () =>
      withBatchSizeThatFits(() => {
        throw full;
      }, { start: 3 }),
    RangeError,
    "Cannot find a batch size that fits: 1 samples do not",
  );
  await assertRejects(
    () =>
      withBatchSizeThatFits(() => {
        throw new TypeError("mine");
      }),
    TypeError,
    "mine",
  );
});

/** As a device that has room for some samples only. */
class Small extends nn.Module {
  readonly linear = new nn.Linear(4, 3);
  readonly room: number;
  constructor(room: number) {
    super();
    this.room = room;
  }
  override forward(x: Tensor): Tensor {
    // More than the device has: the allocator itself refuses.
    if (x.shape[0] > this.room) zeros([2 ** 32]).add(x.sum()).mul(2).realize();
    return this.linear.forward(x);
  }
}

Deno.test("findBatchSize: the largest that fits, to the sample, with the allocator's own refusal", async () => {
  for (
    const [room, refine, expected] of [[21, true, 21], [21, false, 16], [500, true, 64]] as const
  ) {
    const model = new Small(room);
    const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    manualSeed(1);
    const before = traces(model, optimizer);
    manualSeed(1);
    const found = await findBatchSize({
      model,
      optimizer,
      lossFunc: new nn.CrossEntropyLoss(),
      trainDataset: smallDataset(64),
      refine,
    });
    assertEquals(found, expected);
    assertEquals(traces(model, optimizer), before);
  }
  const model = new Small(1), optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
  const options = { model, optimizer, lossFunc: new nn.CrossEntropyLoss() };
  await assertRejects(
    () => findBatchSize({ ...options, trainDataset: smallDataset(8) }),
    RangeError,
    "not even 2 samples fit",
  );
  await assertRejects(
    () =>
      findBatchSize({
        ...options,
        model: new Small(8),
        trainDataset: smallDataset(8),
        lossFunc: undefined,
      }),
    ReferenceError,
  );
});

Deno.test("profiler: a trace of steps, data, evaluation and kernels, with what took the most time", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/trace.json`;
    const weights: number[][] = [];
    for (const callbacks of [[profiler({ path, skip: 3, steps: 4 })], []]) {
      const trainer = smallTrainer({ callbacks });
      await trainer.train({
        trainDataset: smallDataset(20),
        evalDataset: smallDataset(8),
        numEpochs: 3,
        perDeviceBatchSize: 4,
      });
      weights.push(weightsOf(trainer.model));
      if (callbacks.length > 0) {
        assert(trainer.lines[0].startsWith(`Trace of 4 steps in ${path}\n  `), trainer.lines[0]);
        assert(/ ms {2}\d+ x /.test(trainer.lines[0]));
      }
    }
    assertEquals(weights[0], weights[1]);
    const { traceEvents } = JSON.parse(await Deno.readTextFile(path)) as {
      traceEvents: {
        name: string;
        cat: string;
        ph: string;
        ts: number;
        dur: number;
        args: never;
      }[];
    };
    const of = (name: string) => traceEvents.filter((e) => e.name === name);
    assertEquals(of("train step").map((e) => (e.args as { step: number }).step), [3, 4, 0, 1]);
    assertEquals(of("evaluation").length, 1);
    assertEquals(of("train epoch").length, 1);
    assert(of("data and callbacks").length >= 2);
    const kernels = traceEvents.filter((e) => e.cat === "kernel" || e.cat === "routine");
    assert(kernels.length >= 8, `${kernels.length}`);
    assert(kernels.some((e) => e.cat === "routine" && e.name === "matmul"));
    // Every kernel of a step lies within it.
    const [first] = of("train step");
    const inside = kernels.filter((e) =>
      e.ts >= first.ts && e.ts + e.dur <= first.ts + first.dur + 1
    );
    assert(inside.length >= 3, `${inside.length}`);
    assert(traceEvents.every((e) => e.ph === "M" || e.dur >= 0));
    // The device is as it was.
    assertEquals(
      Object.keys(Object.getOwnPropertyDescriptors(backendOf("cpu"))).includes("bind"),
      false,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("callbacks: a misspelt hook does not compile, and is an error where it gets past the compiler", () => {
  // @ts-expect-error: the event is onTrainStepEnd
  const typo = callback({ name: "typo", onTrainStepEnded: () => {} });
  // @ts-expect-error: no event has this payload
  callback({ name: "payload", onTrainStepEnd: (_trainer, { batches }) => void batches });
  assertThrows(() => smallTrainer({ callbacks: [typo] }), TypeError, '"onTrainStepEnded"');
});

Deno.test("callbacks: an exception names callback and event", async () => {
  const bad: Callback = callback({
    name: "bad",
    onTrainEpochStart: () => {
      throw new RangeError("because");
    },
  });
  const error = await assertRejects(
    () =>
      smallTrainer({ callbacks: [bad] }).train({
        trainDataset: smallDataset(4),
        numEpochs: 1,
        perDeviceBatchSize: 4,
      }),
    CallbackError,
    'Callback "bad" failed in onTrainEpochStart: RangeError: because',
  );
  assert((error as CallbackError).cause instanceof RangeError);
});
