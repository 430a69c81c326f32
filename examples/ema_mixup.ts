/**
 * Averages of the weights, mixed batches and normalisation over all ranks, each one line in the list of callbacks. Alone or on several ranks:
 *
 *     deno run -A launch/launch.ts --cpu --num-processes 2 examples/ema_mixup.ts
 */
import {
  averageMetric,
  cosineSchedule,
  defaultCallbacks,
  manualSeed,
  mixup,
  modelEma,
  nn,
  optim,
  readRank,
  syncBatchNorm,
  type Tensor,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

const flags = parseFlags({ epochs: 8, batchSize: 32, learningRate: 0.003, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(
  new nn.Unflatten(1, [1, 8, 8]),
  new nn.Conv2d(1, 16, 3, { padding: 1, bias: false }),
  new nn.BatchNorm2d(16),
  new nn.ReLU(),
  new nn.Conv2d(16, 32, 3, { padding: 1, bias: false }),
  new nn.BatchNorm2d(32),
  new nn.ReLU(),
  new nn.MaxPool2d(2),
  new nn.Flatten(),
  new nn.Linear(512, 10),
);
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.AdamW(model.parameters(), { lr: flags.learningRate, weightDecay: 0.05 }),
  callbacks: [
    syncBatchNorm(),
    mixup({ alpha: 0.2, numClasses: 10, untilEpoch: flags.epochs - 2 }),
    modelEma({ decay: 0.99 }),
    averageMetric({
      name: "accuracy",
      direction: "higher",
      onTrain: false, // mixed targets are no classes
      compute: (batch, { modelOutputs }) =>
        (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
    }),
    ...defaultCallbacks({ progressBar: false }),
  ],
  seed: flags.seed,
});
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: Math.ceil(flags.batchSize / readRank().worldSize),
  createScheduler: cosineSchedule({ warmUp: { epochs: 1 } }),
});
const [own, ema] = ["eval_accuracy", "ema_model_eval_accuracy"].map((name) =>
  trainer.runHistory.latest(name).toFixed(4)
);
trainer.print(`accuracy=${own} ema_accuracy=${ema}`);
