/**
 * Progressive resizing: small images first, then larger ones. The same trainer trains several times; its history and its optimizer go on, and each stage ends
 * early when it no longer gets better.
 */
import {
  averageMetric,
  data,
  defaultCallbacks,
  earlyStopping,
  InMemoryRunHistory,
  manualSeed,
  nn,
  optim,
  type Tensor,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** The digits as images of another size. */
function resized(digits: data.TensorDataset, size: number): data.TensorDataset {
  const [x, y] = digits.fields.map((field) => field.toTensor());
  const images = nn.functional.interpolate(x.reshape([-1, 1, 8, 8]), {
    size: [size, size],
    mode: "bilinear",
  });
  return new data.TensorDataset(images, y);
}

const flags = parseFlags({ epochs: 4, batchSize: 32, learningRate: 0.005, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(
  new nn.Conv2d(1, 16, 3, { padding: 1 }),
  new nn.BatchNorm2d(16),
  new nn.ReLU(),
  new nn.Conv2d(16, 32, 3, { padding: 1 }),
  new nn.BatchNorm2d(32),
  new nn.ReLU(),
  new nn.AdaptiveAvgPool2d(2), // whatever the size of the images
  new nn.Flatten(),
  new nn.Linear(128, 10),
);
const runHistory = new InMemoryRunHistory();
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.AdamW(model.parameters(), { lr: flags.learningRate }),
  callbacks: [
    averageMetric({
      name: "accuracy",
      direction: "higher",
      onTrain: false,
      compute: (batch, { modelOutputs }) =>
        (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
    }),
    ...defaultCallbacks({ progressBar: false }),
    earlyStopping({ patience: 2, threshold: 0.001 }),
  ],
  runHistory,
  seed: flags.seed,
});
for (const size of [4, 6, 8]) {
  trainer.print(`Images of ${size} x ${size}`);
  await trainer.train({
    trainDataset: resized(train, size),
    evalDataset: resized(test, size),
    numEpochs: flags.epochs,
    perDeviceBatchSize: flags.batchSize,
    resetRunHistory: false,
  });
}
trainer.print(runHistory.toTable({ digits: 4 }));
trainer.print(`test_accuracy=${trainer.runHistory.latest("eval_accuracy").toFixed(4)}`);
