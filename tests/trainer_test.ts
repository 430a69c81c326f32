/** Arithmetic of the trainer against values worked out by hand. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { nn, optim } from "@pta/core";
import type { Batch, BatchOutput, TrainOptions } from "@pta/trainer";
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
