/** Limits of batches and changing accumulation, as callbacks: what runs, what the configuration says, what schedules see. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { nn, optim } from "@pta/core";
import {
  accumulationAt,
  accumulationSchedule,
  cosineSchedule,
  createRunConfig,
  evaluateEvery,
  learningRateMonitor,
  limitBatches,
  reduceOnPlateau,
} from "@pta/trainer";
import {
  QuietTrainer,
  scalarDataset,
  scalarModel,
  smallDataset,
  smallTrainer,
} from "./trainer_support.ts";

/** Counts the batches of each pass. */
function counter() {
  const passes: string[] = [];
  let n = 0;
  return {
    passes,
    callback: {
      name: "counter",
      onTrainEpochStart: () => void (n = 0),
      onTrainStepEnd: () => void n++,
      onTrainEpochEnd: () => void passes.push(`train ${n}`),
      onEvalEpochStart: () => void passes.push("eval 0"),
      onEvalStepEnd: () => {
        passes.push(`eval ${Number(passes.pop()!.slice(5)) + 1}`);
      },
    },
  };
}

Deno.test("limitBatches: training and evaluation, and the schedule ends where the run ends", async () => {
  const { passes, callback } = counter();
  const trainer = smallTrainer({
    callbacks: [limitBatches({ train: 3, eval: 2 }), callback, learningRateMonitor()],
  });
  await trainer.train({
    trainDataset: smallDataset(40),
    evalDataset: smallDataset(20),
    numEpochs: 2,
    perDeviceBatchSize: 4,
    createScheduler: cosineSchedule({ cooldown: 1, min: 0 }),
  });
  assertEquals(passes, ["train 3", "eval 2", "train 3", "eval 2"]);
  assertEquals(trainer.runConfig.maxNumTrainSteps, 6);
  const rates = trainer.runHistory.values("learning_rate");
  assertEquals(rates.length, 6);
  assertAlmostEquals(rates[5], 0, 1e-12);
  await trainer.evaluate({ dataset: smallDataset(20), perDeviceBatchSize: 4 });
  assertEquals(passes.at(-1), "eval 2");
});

Deno.test("limitBatches: only evaluations in the middle of an epoch", async () => {
  const { passes, callback } = counter();
  const trainer = smallTrainer({
    callbacks: [limitBatches({ intermediateEval: 1 }), evaluateEvery({ steps: 4 }), callback],
  });
  await trainer.train({
    trainDataset: smallDataset(24),
    evalDataset: smallDataset(12),
    numEpochs: 1,
    perDeviceBatchSize: 4,
  });
  assertEquals(passes, ["eval 1", "train 6", "eval 3"]);
  const limited = smallTrainer({
    callbacks: [evaluateEvery({ steps: 4, limitBatches: 2, metric: "quick" }), callback],
  });
  passes.length = 0;
  await limited.train({
    trainDataset: smallDataset(24),
    evalDataset: smallDataset(12),
    numEpochs: 1,
    perDeviceBatchSize: 4,
  });
  assertEquals(passes, ["eval 2", "train 6", "eval 3"]);
  assertEquals(limited.runHistory.get("quick").values.map((v) => v.step), [4]);
});

Deno.test("limitBatches: the environment, and what it cannot say", async () => {
  const { passes, callback } = counter();
  Deno.env.set("PTA_LIMIT_BATCHES", "2");
  try {
    const trainer = smallTrainer({ callbacks: [limitBatches(), callback] });
    await trainer.train({ trainDataset: smallDataset(24), numEpochs: 1, perDeviceBatchSize: 4 });
    assertEquals(passes, ["train 2"]);
    Deno.env.set("PTA_LIMIT_BATCHES", "few");
    assertThrows(() => limitBatches(), RangeError, "Cannot use PTA_LIMIT_BATCHES=few");
  } finally {
    Deno.env.delete("PTA_LIMIT_BATCHES");
  }
  assertThrows(() => limitBatches({ train: 0 }), RangeError, "train batches 0");
});

Deno.test("accumulation schedule: the configuration counts the steps of each epoch", () => {
  const config = (more: object) =>
    createRunConfig({
      trainPerDeviceBatchSize: 4,
      numTrainBatchesPerEpoch: 10,
      accumulationSchedule: { 2: 4, 4: 1 },
      ...more,
    });
  // Two micro-batches by default in the first epoch, then four, then one from the fourth on.
  const c = config({ numEpochs: 6, gradientAccumulationSteps: 2 });
  assertEquals([0, 1, 2, 3, 5].map((e) => accumulationAt(c, e)), [2, 4, 4, 1, 1]);
  assertEquals(c.maxNumTrainSteps, 5 + 3 + 3 + 10 + 10 + 10);
  assertEquals([c.gradientAccumulationSteps, c.numUpdateStepsPerEpoch], [2, 5]);
  const epochs = (steps: number) =>
    config({ maxNumTrainSteps: steps, gradientAccumulationSteps: 2 }).numEpochs;
  assertEquals([1, 5, 6, 8, 9, 11, 12, 21, 22, 31].map(epochs), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
  assertThrows(() => config({ numEpochs: 1, accumulationSchedule: { 0: 2 } }), RangeError);
  assertThrows(
    () => config({ numEpochs: 1, accumulationSchedule: { 3: 1.5 } }),
    RangeError,
    "gradientAccumulationSteps of epoch 3 1.5",
  );
});

for (const capture of [true, false]) {
  Deno.test(`accumulationSchedule: windows of each epoch by hand, ${capture ? "captured" : "plain"}`, async () => {
    const xs = [1, -2, 3, 0.5, 2], ys = [2, 1, -1, 4, 0];
    const model = scalarModel(0.5);
    const trainer = new QuietTrainer({
      model,
      lossFunc: new nn.MSELoss(),
      optimizer: new optim.SGD(model.parameters(), { lr: 0.05 }),
      callbacks: [accumulationSchedule({ 1: 3, 3: 1 }), learningRateMonitor()],
      capture,
    });
    await trainer.train({
      trainDataset: scalarDataset(xs, ys),
      numEpochs: 4,
      perDeviceBatchSize: 1,
      trainDataLoaderOptions: { shuffle: false },
    });
    let w = 0.5;
    for (const size of [3, 3, 1, 1]) {
      for (let i = 0; i < xs.length; i += size) {
        const window = xs.slice(i, i + size).map((x, k) => [x, ys[i + k]]);
        w -= 0.05 * window.reduce((sum, [x, y]) => sum + 2 * (w * x - y) * x, 0) / window.length;
      }
    }
    assertAlmostEquals(model.weight.data()[0] as number, w, 1e-5);
    assertEquals(trainer.numUpdates, 2 + 2 + 5 + 5);
    const steps = trainer.runHistory.get("learning_rate").values.map((v) => v.step);
    assertEquals(steps, Array.from({ length: 14 }, (_, i) => i + 1));
    assert(trainer.runConfig.maxNumTrainSteps === 14);
  });
}

Deno.test("reduceOnPlateau: the rate falls when the metric stands still, by its direction", async () => {
  const values = [5, 4, 4, 4, 3, 3.5, 3.5];
  for (const direction of ["lower", "higher"] as const) {
    const rates: number[] = [];
    const trainer = smallTrainer({
      lr: 0.8,
      callbacks: [
        {
          name: "metric",
          onTrainEpochEnd: ({ runHistory }) => {
            const value = values[runHistory.currentEpoch - 1];
            runHistory.record("quality", direction === "lower" ? value : 10 - value, { direction });
          },
        },
        reduceOnPlateau({ watchMetric: "quality", patience: 1, factor: 0.5 }),
        {
          name: "rates",
          onTrainingRunEpochEnd: (t) => void rates.push(t.optimizer!.paramGroups[0].lr),
        },
      ],
    });
    await trainer.train({ trainDataset: smallDataset(4), numEpochs: 7, perDeviceBatchSize: 4 });
    // Two epochs without improvement are one more than is borne.
    assertEquals(rates, [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]);
    assert(trainer.lines.includes("quality stands still: the learning rate goes to 0.4"));
  }
});
