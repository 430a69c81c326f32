/**
 * A network that knows the digits 0 to 4 learns 5 to 9 in two phases: first its new head alone, with one cycle of the rate, then everything, early layers
 * slower than late ones.
 */
import {
  addUnfrozen,
  averageMetric,
  data,
  defaultCallbacks,
  manualSeed,
  ModelFreezer,
  nn,
  oneCycleSchedule,
  optim,
  type Tensor,
  tensor,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** The digits from `first` to `first + 4` of a dataset, as classes 0 to 4. */
function fiveDigits(all: data.TensorDataset, first: number): data.TensorDataset {
  const [x, y] = all.fields.map((field) => field.toTensor());
  const classes = Array.from(y.data() as BigInt64Array, Number);
  const rows = tensor(classes.flatMap((c, i) => c >= first && c < first + 5 ? [i] : []), {
    dtype: "int64",
  });
  return new data.TensorDataset(x.indexSelect(0, rows), y.indexSelect(0, rows).sub(first));
}

const accuracy = () =>
  averageMetric({
    name: "accuracy",
    direction: "higher",
    onTrain: false,
    compute: (batch, { modelOutputs }) =>
      (modelOutputs as Tensor).argmax(1).eq((batch as Tensor[])[1]),
  });

const flags = parseFlags({ epochs: 6, batchSize: 16, learningRate: 0.02, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const body = new nn.Sequential(
  new nn.Linear(64, 64),
  new nn.BatchNorm1d(64),
  new nn.ReLU(),
  new nn.Linear(64, 32),
  new nn.ReLU(),
);
const newTrainer = (model: nn.Module, optimizer: optim.Optimizer, freezer?: ModelFreezer) =>
  new Trainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer,
    callbacks: [
      accuracy(),
      ...(freezer === undefined ? [] : [freezer.callback()]),
      ...defaultCallbacks({ progressBar: false }),
    ],
    seed: flags.seed,
  });
const options = { numEpochs: flags.epochs, perDeviceBatchSize: flags.batchSize };

// What is known before.
const known = new nn.Sequential(body, new nn.Linear(32, 5));
await newTrainer(known, new optim.AdamW(known.parameters(), { lr: flags.learningRate })).train({
  trainDataset: fiveDigits(train, 0),
  evalDataset: fiveDigits(test, 0),
  ...options,
});

// A new head on the old body.
const model = new nn.Sequential(body, new nn.Linear(32, 5));
const freezer = new ModelFreezer(model, { batchNorms: "freeze" });
freezer.freeze();
console.log(`${freezer}`);
const optimizer = new optim.AdamW(freezer.trainableParameters(), { lr: flags.learningRate });
const trainer = newTrainer(model, optimizer, freezer);
const few = fiveDigits(train, 5), evalDataset = fiveDigits(test, 5);
await trainer.train({
  trainDataset: few,
  evalDataset,
  ...options,
  createScheduler: oneCycleSchedule({ maxLr: flags.learningRate }),
});
const headAlone = trainer.runHistory.latest("eval_accuracy");

addUnfrozen(optimizer, freezer.unfreeze(), { lr: flags.learningRate / 10 });
await trainer.train({
  trainDataset: few,
  evalDataset,
  ...options,
  createScheduler: oneCycleSchedule({ maxLr: [flags.learningRate / 2, flags.learningRate / 10] }),
  resetRunHistory: false,
});
const everything = trainer.runHistory.latest("eval_accuracy");
trainer.print(`head_alone=${headAlone.toFixed(4)} everything=${everything.toFixed(4)}`);
