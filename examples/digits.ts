/**
 * Trains a small network on real handwritten digits. Runs on its own and, unchanged, on several ranks:
 *
 *     deno run --no-prompt --allow-read=examples examples/digits.ts
 *     deno run -A launch/launch.ts --cpu --num-processes 2 examples/digits.ts
 */
import {
  averageMetric,
  defaultCallbacks,
  manualSeed,
  nn,
  optim,
  readRank,
  type Tensor,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

const flags = parseFlags({ epochs: 40, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();

manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 512), new nn.ReLU(), new nn.Linear(512, 10));

const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: flags.learningRate, momentum: 0.9 }),
  callbacks: [
    ...defaultCallbacks(),
    averageMetric({
      name: "accuracy",
      direction: "higher",
      compute: (batch, { modelOutputs }) =>
        (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
    }),
  ],
  seed: flags.seed,
});

// The same global batch on any number of ranks.
const perDeviceBatchSize = Math.ceil(flags.batchSize / readRank().worldSize);
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize,
});
await trainer.evaluate({ dataset: test, perDeviceBatchSize });
trainer.print(`test_accuracy=${trainer.runHistory.latest("eval_accuracy").toFixed(4)}`);
