/**
 * Trains the 784-128-64-10 network on MNIST, which is downloaded on the first run:
 *
 *     deno run -A examples/mnist.ts --epochs 2
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
import { parseFlags } from "./flags.ts";
import { loadMnist } from "./mnist_data.ts";

const flags = parseFlags({ epochs: 5, batchSize: 32, learningRate: 0.01, seed: 0 });
const { train, test } = await loadMnist();

manualSeed(flags.seed);
const model = new nn.Sequential(
  new nn.Linear(784, 128),
  new nn.ReLU(),
  new nn.Linear(128, 64),
  new nn.ReLU(),
  new nn.Linear(64, 10),
);

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

const perDeviceBatchSize = Math.ceil(flags.batchSize / readRank().worldSize);
await trainer.train({ trainDataset: train, numEpochs: flags.epochs, perDeviceBatchSize });
await trainer.evaluate({ dataset: test, perDeviceBatchSize });
trainer.print(`test_accuracy=${trainer.runHistory.latest("eval_accuracy").toFixed(4)}`);
