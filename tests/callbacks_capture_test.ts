/** Callbacks that compute on the device leave captured steps captured, and what they make does not pile up. */
import { assert, assertEquals } from "@std/assert";
import { backendOf, counters, data, nn, optim, type Tensor, tensor } from "@pta/core";

import {
  averageMetric,
  type Callback,
  cutmix,
  gradientStatistics,
  learningRateMonitor,
  limitBatches,
  memoryMonitor,
  mixup,
  mixupOrCutmix,
  modelEma,
  modelSummary,
  terminateOnNaN,
  throughput,
  timeBudget,
  weightAveraging,
} from "@pta/trainer";
import { smallTrainer } from "./trainer_support.ts";

const images = new data.TensorDataset(
  tensor(Float32Array.from({ length: 320 * 16 }, (_, i) => Math.sin(i)), { shape: [320, 1, 4, 4] }),
  tensor(BigInt64Array.from({ length: 320 }, (_, i) => BigInt(i % 3))),
);

const all: Record<string, () => Callback[]> = {
  none: () => [],
  modelEma: () => [modelEma({ every: 2 })],
  weightAveraging: () => [weightAveraging({ startEpoch: 1 })],
  gradientStatistics: () => [gradientStatistics({ every: 7, perParameter: true })],
  mixup: () => [mixup({ numClasses: 3 })],
  cutmix: () => [cutmix({ numClasses: 3 })],
  mixupOrCutmix: () => [mixupOrCutmix({ numClasses: 3 })],
  watching: () => [
    limitBatches({ train: 40 }),
    learningRateMonitor(),
    memoryMonitor({ every: 5 }),
    throughput({ every: 5 }),
    modelSummary(),
    timeBudget({ hours: 1 }),
    terminateOnNaN(),
    averageMetric({
      name: "accuracy",
      compute: (batch, { modelOutputs }) =>
        (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
    }),
  ],
};

/** Bytes alive and plans run after each training step. */
async function watch(callbacks: Callback[]) {
  const model = new nn.Sequential(new nn.Flatten(), new nn.Linear(16, 8), new nn.Linear(8, 3));
  const alive: number[] = [], plans: number[] = [];
  const trainer = smallTrainer({
    model,
    optimizer: new optim.AdamW(model.parameters(), { lr: 0.01 }),
    // First, so that what a callback makes for a step does not count.
    callbacks: [{
      name: "watch",
      onTrainStepStart: () => {
        alive.push(backendOf("cpu").stats.bytesAlive);
        plans.push(counters.plansRun);
      },
    }, ...callbacks],
  });
  await trainer.train({ trainDataset: images, numEpochs: 1, perDeviceBatchSize: 8 });
  return { trainer, alive, plans };
}

for (const [name, make] of Object.entries(all)) {
  Deno.test(`callbacks: steps stay captured and memory stands still with ${name}`, async () => {
    const { trainer, alive, plans } = await watch(make());
    assertEquals(trainer.lines.filter((line) => line.includes("uncaptured")), []);
    assertEquals(trainer.numUpdates, 40);
    // From the tenth step on everything is recorded: the same bytes after each ten steps.
    assertEquals(alive[30], alive[20], `${alive}`);
    assertEquals(alive[39], alive[29], `${alive}`);
    // A step that were planned anew would run several plans more.
    const perStep = (plans[38] - plans[18]) / 20;
    assert(perStep <= 5, `${perStep} plans a step`);
  });
}
