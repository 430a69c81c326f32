/** Arithmetic of the trainer against values worked out by hand, and what the callbacks do. */
import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { data, nn, optim, type Tensor, tensor } from "@pta/core";
import {
  averageMetric,
  type Batch,
  type BatchOutput,
  callback,
  createRunConfig,
  earlyStopping,
  logMetrics,
  progressBar,
  saveBest,
  terminateOnNaN,
  type TrainOptions,
} from "@pta/trainer";
import {
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallDataset,
  smallModel,
  smallTrainer,
  weightsOf,
} from "./trainer_support.ts";

const inOrder = { shuffle: false };

/** Trains `y = w x` by squared error with plain SGD and returns the weight and the trainer. */
async function trainScalar(
  options:
    & { w: number; lr: number; xs: number[]; ys: number[]; capture?: boolean }
    & Partial<
      TrainOptions
    >,
): Promise<{ w: number; trainer: QuietTrainer }> {
  const { w, lr, xs, ys, capture, ...rest } = options;
  const model = scalarModel(w);
  const trainer = new QuietTrainer({
    model,
    lossFunc: new nn.MSELoss(),
    optimizer: new optim.SGD(model.parameters(), { lr }),
    callbacks: [],
    capture,
  });
  await trainer.train({
    trainDataset: scalarDataset(xs, ys),
    numEpochs: 1,
    trainDataLoaderOptions: inOrder,
    ...rest,
  });
  return { w: model.weight.data()[0] as number, trainer };
}

/** The same by hand: windows of samples, the mean gradient of each, an optional change of the gradient. */
function byHand(
  windows: readonly (readonly [number, number][])[],
  w: number,
  lr: number,
  change: (gradient: number) => number = (g) => g,
): number {
  for (const window of windows) {
    const gradient = window.reduce((sum, [x, y]) => sum + 2 * (w * x - y) * x, 0) / window.length;
    w -= lr * change(gradient);
  }
  return w;
}

const xs = [1, -2, 3, 0.5, 2, -1, 1.5], ys = [2, 1, -1, 4, 0, 3, 1];
const pairs = xs.map((x, i) => [x, ys[i]] as [number, number]);

for (const capture of [true, false]) {
  const title = capture ? "captured" : "plain";

  Deno.test(`trainer: steps and loss of uneven batches are those worked out by hand, ${title}`, async () => {
    const { w, trainer } = await trainScalar({
      w: 0.5,
      lr: 0.05,
      xs,
      ys,
      perDeviceBatchSize: 2,
      capture,
    });
    const windows = [pairs.slice(0, 2), pairs.slice(2, 4), pairs.slice(4, 6), pairs.slice(6)];
    assertAlmostEquals(w, byHand(windows, 0.5, 0.05), 1e-5);

    let weight = 0.5, sum = 0;
    for (const window of windows) {
      for (const [x, y] of window) sum += (weight * x - y) ** 2;
      weight = byHand([window], weight, 0.05);
    }
    assertAlmostEquals(trainer.runHistory.latest("train_loss_epoch"), sum / 7, 1e-5);
  });

  Deno.test(`trainer: a partial window is weighted by its true size, ${title}`, async () => {
    // Micro-batches 2, 2 | 2, 1: the second window has three samples.
    const { w, trainer } = await trainScalar({
      w: 0.5,
      lr: 0.05,
      xs,
      ys,
      perDeviceBatchSize: 2,
      gradientAccumulationSteps: 2,
      numEpochs: 3,
      capture,
    });
    const windows = [pairs.slice(0, 4), pairs.slice(4)];
    assertAlmostEquals(w, byHand([...windows, ...windows, ...windows], 0.5, 0.05), 1e-5);
    assertEquals(trainer.numUpdates, 6);
  });

  Deno.test(`trainer: accumulation equals the large batch and reports the same loss, ${title}`, async () => {
    const results = [];
    for (const [size, steps] of [[8, 1], [4, 2], [2, 4], [1, 8]]) {
      const trainer = smallTrainer({ capture, lr: 0.3, momentum: 0.9 });
      await trainer.train({
        trainDataset: smallDataset(20),
        evalDataset: smallDataset(5),
        numEpochs: 3,
        perDeviceBatchSize: size,
        gradientAccumulationSteps: steps,
      });
      results.push({
        weights: weightsOf(trainer.model),
        train: trainer.runHistory.values("train_loss_epoch"),
        evaluation: trainer.runHistory.values("eval_loss_epoch"),
      });
    }
    for (const other of results.slice(1)) {
      results[0].weights.forEach((w, i) => assertAlmostEquals(other.weights[i], w, 1e-5));
      results[0].train.forEach((x, i) => assertAlmostEquals(other.train[i], x, 1e-5));
      results[0].evaluation.forEach((x, i) => assertAlmostEquals(other.evaluation[i], x, 1e-5));
    }
    assert(results[0].train[2] < results[0].train[0]);
  });

  Deno.test(`trainer: clips by value and by norm, once a window, ${title}`, async () => {
    const run = (clip: Partial<TrainOptions>) =>
      trainScalar({
        w: 0.5,
        lr: 0.05,
        xs,
        ys,
        perDeviceBatchSize: 2,
        gradientAccumulationSteps: 2,
        numEpochs: 2,
        capture,
        ...clip,
      });
    const windows = [pairs.slice(0, 4), pairs.slice(4)];
    const twice = [...windows, ...windows];
    const limit = (bound: number) => (g: number) => Math.max(-bound, Math.min(bound, g));
    const free = byHand(twice, 0.5, 0.05), clipped = byHand(twice, 0.5, 0.05, limit(0.8));
    assert(Math.abs(free - clipped) > 1e-3);
    // With one weight both clips do the same.
    assertAlmostEquals((await run({ gradientClipValue: 0.8 })).w, clipped, 1e-5);
    assertAlmostEquals((await run({ gradientClipNorm: 0.8 })).w, clipped, 1e-5);
    assertAlmostEquals((await run({ gradientClipNorm: 100 })).w, free, 1e-5);
  });
}

Deno.test("trainer: the norm that is clipped is that of all gradients together", async () => {
  const steps: number[][] = [];
  for (const gradientClipNorm of [undefined, 0.05]) {
    const trainer = smallTrainer({ lr: 1 });
    const before = weightsOf(trainer.model);
    await trainer.train({
      trainDataset: smallDataset(8),
      numEpochs: 1,
      perDeviceBatchSize: 8,
      gradientClipNorm,
    });
    steps.push(weightsOf(trainer.model).map((w, i) => before[i] - w));
  }
  const norm = Math.hypot(...steps[0]);
  assert(norm > 0.05);
  assertAlmostEquals(Math.hypot(...steps[1]), 0.05, 1e-5);
  steps[0].forEach((x, i) => assertAlmostEquals(steps[1][i], x * 0.05 / norm, 1e-5));
});

Deno.test("trainer: captured and plain steps give the same weights and losses", async () => {
  const results: number[][] = [];
  for (const capture of [undefined, false]) {
    const trainer = smallTrainer({ capture, lr: 0.2, momentum: 0.9 });
    await trainer.train({
      trainDataset: smallDataset(22),
      evalDataset: smallDataset(9),
      numEpochs: 4,
      perDeviceBatchSize: 4,
      createScheduler: (optimizer) => ({
        step: () => {
          for (const group of optimizer.paramGroups) group.lr *= 0.9;
        },
      }),
    });
    results.push([
      ...weightsOf(trainer.model),
      ...trainer.runHistory.values("train_loss_epoch"),
      ...trainer.runHistory.values("eval_loss_epoch"),
    ]);
    assertEquals(trainer.lines, []);
  }
  results[0].forEach((x, i) => assertAlmostEquals(results[1][i], x, 1e-6));
});

Deno.test("trainer: says once why steps run uncaptured, and trains all the same", async () => {
  // Five sizes of batches, one more than are captured.
  const sizes = [1, 2, 3, 4, 5];
  const batches = sizes.map((n) => Array.from({ length: n }, (_, i) => n * (n - 1) / 2 + i));
  const batchSampler = { length: 5, [Symbol.iterator]: () => batches[Symbol.iterator]() };
  const weights: number[][] = [];
  for (const capture of [true, false]) {
    const trainer = smallTrainer({ capture });
    await trainer.train({
      trainDataset: smallDataset(15),
      numEpochs: 3,
      trainDataLoaderOptions: { batchSampler },
    });
    weights.push(weightsOf(trainer.model));
    const line =
      "Steps run uncaptured: a batch of [5, 4] float32, [5] int64 is one shape more than";
    assertEquals(trainer.lines.map((text) => text.startsWith(line)), capture ? [true] : []);
  }
  weights[0].forEach((w, i) => assertAlmostEquals(weights[1][i], w, 1e-6));

  class Reading extends QuietTrainer {
    override calculateTrainBatchLoss(batch: Batch): BatchOutput {
      const output = super.calculateTrainBatchLoss(batch);
      output.loss.item();
      return output;
    }
  }
  const model = smallModel();
  const reading = new Reading({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
    callbacks: [],
    capture: true,
  });
  const plain = smallTrainer({ capture: false, seed: undefined });
  for (const trainer of [reading, plain]) {
    await trainer.train({ trainDataset: smallDataset(16), numEpochs: 2, perDeviceBatchSize: 4 });
  }
  assertEquals(reading.lines.length, 1);
  assert(reading.lines[0].startsWith("Steps run uncaptured: "), reading.lines[0]);
  weightsOf(plain.model).forEach((w, i) => assertAlmostEquals(weightsOf(model)[i], w, 1e-6));
});

Deno.test("trainer: a method that a subclass overrides runs at every step unless capture is asked for", async () => {
  class Counting extends QuietTrainer {
    calls = 0;
    override calculateTrainBatchLoss(batch: Batch): BatchOutput {
      this.calls++;
      return super.calculateTrainBatchLoss(batch);
    }
  }
  const calls = [];
  for (const capture of [undefined, true]) {
    const model = smallModel();
    const trainer = new Counting({
      model,
      lossFunc: new nn.CrossEntropyLoss(),
      optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
      callbacks: [],
      capture,
    });
    await trainer.train({ trainDataset: smallDataset(20), numEpochs: 1, perDeviceBatchSize: 2 });
    calls.push(trainer.calls);
  }
  assertEquals(calls[0], 10);
  assert(calls[1] < 10);
});

Deno.test("trainer: evaluation counts every sample once", async () => {
  for (const n of [1, 3, 4, 5, 8]) {
    const seen: number[] = [];
    const values = Array.from({ length: n }, (_, i) => i + 1);
    const model = scalarModel(0);
    const trainer = new QuietTrainer({
      model,
      lossFunc: new nn.MSELoss(),
      callbacks: [callback({
        name: "seen",
        onEvalStepEnd: (_, { batch }) =>
          void seen.push(...((batch as Tensor[])[0].data() as Float32Array)),
      })],
    });
    await trainer.evaluate({ dataset: scalarDataset(values, values), perDeviceBatchSize: 4 });
    assertEquals(seen, values);
    const expected = values.reduce((sum, x) => sum + x * x, 0) / n;
    assertAlmostEquals(trainer.runHistory.latest("evaluation_loss"), expected, 1e-6 * expected);
  }
});

Deno.test("trainer: metrics are means over all samples, and a loss module may be a function", async () => {
  const model = scalarModel(2);
  const trainer = new QuietTrainer({
    model,
    lossFunc: (output, target) => output.sub(target).abs().mean(),
    callbacks: [averageMetric({
      name: "is_large",
      compute: (_, { modelOutputs }) => (modelOutputs as Tensor).gt(5),
    })],
  });
  await trainer.evaluate({
    dataset: scalarDataset([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]),
    perDeviceBatchSize: 2,
  });
  assertEquals(trainer.runHistory.latest("evaluation_loss"), 6);
  assertEquals(trainer.runHistory.latest("eval_is_large"), 3 / 5);
});

Deno.test("trainer: the same seed repeats data order and dropout, another seed does not", async () => {
  const run = async (seed: number) => {
    const model = smallModel();
    const trainer = smallTrainer({
      model: new nn.Sequential(model, new nn.Dropout(0.3)),
      optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
      seed,
    });
    await trainer.train({ trainDataset: smallDataset(16), numEpochs: 2, perDeviceBatchSize: 4 });
    return trainer.runHistory.values("train_loss_epoch");
  };
  const [first, again, other] = [await run(7), await run(7), await run(8)];
  assertEquals(again, first);
  assert(other[0] !== first[0]);
});

Deno.test("trainer: terminate on NaN stops at the next check, without reading the device before", async () => {
  const steps: number[] = [];
  const trainer = smallTrainer({
    callbacks: [
      terminateOnNaN({ checkEvery: 4 }),
      callback({ name: "steps", onTrainStepEnd: (_, { step }) => void steps.push(step) }),
    ],
    lossFunc: (output, target) =>
      new nn.CrossEntropyLoss().forward(output, target).add(output.sum().mul(NaN)),
  });
  await trainer.train({ trainDataset: smallDataset(20), numEpochs: 5, perDeviceBatchSize: 2 });
  assertEquals(steps, [0, 1, 2, 3]);
  assert(trainer.stopReason?.includes("a loss is NaN or infinite in training, epoch 1"));
  assertEquals(trainer.runHistory.names, []);

  const evaluated = smallTrainer({
    callbacks: [terminateOnNaN()],
    lossFunc: (output, target) => {
      const loss = new nn.CrossEntropyLoss().forward(output, target);
      return evaluated.model.training ? loss : loss.div(0);
    },
  });
  const dataset = smallDataset(4);
  await evaluated.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 3 });
  assert(evaluated.stopReason?.includes("in evaluation, epoch 1"));
  assertEquals(evaluated.runHistory.values("eval_loss_epoch"), [Infinity]);
});

/** Records the values as `score`, one an epoch. */
const scores = (values: readonly number[], direction: "lower" | "higher") =>
  callback({
    name: "scores",
    onTrainEpochEnd: ({ runHistory }) =>
      runHistory.record("score", values[runHistory.currentEpoch - 1], { direction }),
  });

async function epochsRun(
  values: readonly number[],
  direction: "lower" | "higher",
  patience: number,
) {
  const trainer = smallTrainer({
    callbacks: [
      scores(values, direction),
      earlyStopping({ watchMetric: "score", patience, threshold: 0.01 }),
    ],
  });
  await trainer.train({ trainDataset: smallDataset(2), numEpochs: values.length });
  return trainer.runHistory.values("score").length;
}

Deno.test("trainer: early stopping waits for patience, threshold and direction", async () => {
  assertEquals(await epochsRun([3, 2, 1.995, 1, 1], "lower", 1), 3);
  assertEquals(await epochsRun([3, 2, 1.995, 1, 1], "lower", 2), 5);
  assertEquals(await epochsRun([1, 2, 3, 4], "higher", 1), 4);
  assertEquals(await epochsRun([1, 2, 3, 4], "lower", 2), 3);
  assertEquals(await epochsRun([NaN, 2, NaN, 1], "lower", 2), 4);
  await assertRejects(
    () =>
      smallTrainer({ callbacks: [earlyStopping()] }).train({
        trainDataset: smallDataset(2),
        numEpochs: 1,
      }),
    Error,
    'Cannot find the metric "eval_loss_epoch"',
  );
});

Deno.test("trainer: save best keeps the best weights, loads them at the end, and leaves no other file", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/best.safetensors`;
  const weights: number[][] = [];
  const trainer = smallTrainer({
    lr: 0.5,
    callbacks: [
      scores([3, 1, 2], "lower"),
      callback({
        name: "weights",
        onTrainingRunEpochEnd: ({ model }) => void weights.push(weightsOf(model)),
      }),
      saveBest({ path, watchMetric: "score" }),
    ],
  });
  await trainer.train({ trainDataset: smallDataset(8), numEpochs: 3, perDeviceBatchSize: 4 });
  assertEquals(weightsOf(trainer.model), weights[1]);
  assert(weights[2][0] !== weights[1][0]);
  assertEquals([...Deno.readDirSync(folder)].map((entry) => entry.name), ["best.safetensors"]);
  const header = await Deno.readFile(path);
  const length = Number(new DataView(header.buffer).getBigUint64(0, true));
  const names = Object.keys(JSON.parse(new TextDecoder().decode(header.subarray(8, 8 + length))));
  assertEquals(names.filter((name) => name !== "__metadata__").sort(), [
    "0.bias",
    "0.weight",
    "2.bias",
    "2.weight",
  ]);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("trainer: log metrics logs what is new, whatever the order of callbacks", async () => {
  const trainer = smallTrainer({ callbacks: [logMetrics(), scores([0.25, 4], "higher")] });
  const dataset = smallDataset(2);
  await trainer.train({ trainDataset: dataset, evalDataset: dataset, numEpochs: 2 });
  assertEquals(trainer.lines.length, 2);
  const [first] = trainer.lines;
  assert(/^train_loss_epoch: [\d.]+, score: 0\.25000, eval_loss_epoch: [\d.]+$/.test(first), first);
  assert(trainer.lines[1].includes("score: 4"));
  trainer.lines.length = 0;
  await trainer.evaluate({ dataset });
  assert(/^evaluation_loss: [\d.]+$/.test(trainer.lines[0]), trainer.lines[0]);
});

Deno.test("trainer: the progress bar shows rate, loss and time left; plain lines without a terminal", async () => {
  for (const isTerminal of [true, false]) {
    let clock = 0, text = "";
    const trainer = smallTrainer({
      callbacks: [
        progressBar({
          isTerminal,
          refreshEvery: 1000,
          now: () => clock,
          write: (part) => text += part,
        }),
        callback({ name: "clock", onTrainStepStart: () => void (clock += 500) }),
      ],
    });
    await trainer.train({ trainDataset: smallDataset(16), numEpochs: 1, perDeviceBatchSize: 2 });
    const lines = text.split(isTerminal ? "\r\x1b[2K" : "\n").filter((line) => line !== "");
    assertEquals(lines.length, 4);
    assert(
      /^train ([█░]+ )?2\/8, 2\.00 batches\/s, loss \d\.\d+, 0:03 left$/.test(lines[0]),
      lines[0],
    );
    assert(
      /^train ([█░]+ )?8\/8, 2\.00 batches\/s, loss \d\.\d+, 0:04\n?$/.test(lines[3]),
      lines[3],
    );
    assertEquals(text.includes("\x1b"), isTerminal);
  }
});

Deno.test("trainer: the run configuration states what follows from the arguments, and is plain data", () => {
  const config = createRunConfig({
    numEpochs: 3,
    trainPerDeviceBatchSize: 4,
    gradientAccumulationSteps: 2,
    numTrainBatchesPerEpoch: 5,
    rank: { rank: 1, localRank: 1, worldSize: 2 },
  });
  assertEquals(config.trainTotalBatchSize, 16);
  assertEquals(config.numUpdateStepsPerEpoch, 3);
  assertEquals(config.maxNumTrainSteps, 9);
  assertEquals(config.isWorldProcessZero, false);
  assert(Object.isFrozen(config));
  assertEquals(JSON.parse(JSON.stringify(config)).numEpochs, 3);
});

Deno.test("trainer: arguments that make no sense are refused at the call", async () => {
  const wrong: [Parameters<typeof createRunConfig>[0], string][] = [
    [{ numEpochs: 0 }, "Cannot use numEpochs 0"],
    [{ numEpochs: 1.5 }, "Cannot use numEpochs 1.5"],
    [{ trainPerDeviceBatchSize: -1 }, "Cannot use perDeviceBatchSize -1"],
    [{ gradientAccumulationSteps: 0 }, "Cannot use gradientAccumulationSteps 0"],
    [{ gradientClipNorm: 0 }, "Cannot use gradientClipNorm 0"],
    [{ gradientClipValue: NaN }, "Cannot use gradientClipValue NaN"],
    [{ maxNumTrainSteps: -3 }, "Cannot use maxNumTrainSteps -3"],
  ];
  for (const [options, message] of wrong) {
    assertThrows(() => createRunConfig({ numEpochs: 1, ...options }), RangeError, message);
  }
  const trainer = smallTrainer();
  assertThrows(() => trainer.runConfig, ReferenceError, "before train() or evaluate()");
  await assertRejects(
    () => trainer.train({ trainDataset: smallDataset(2), numEpochs: -1 }),
    RangeError,
    "Cannot use numEpochs -1",
  );
  const dataset = new data.TensorDataset(tensor(new Float32Array(4), { shape: [2, 2] }));
  await assertRejects(
    () => trainer.train({ trainDataset: dataset, numEpochs: 1 }),
    TypeError,
    "Cannot take input and target from the batch",
  );
  await assertRejects(
    () => new QuietTrainer({ model: smallModel() }).train({ trainDataset: dataset, numEpochs: 1 }),
    ReferenceError,
    "Cannot train without an optimizer",
  );
});
