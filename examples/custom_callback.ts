/** A callback is an object with a name and a hook for each event it cares about; its state lives in the function that makes it. */
import {
  type Callback,
  callback,
  defaultCallbacks,
  manualSeed,
  nn,
  optim,
  StopTrainingError,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** Records how long each epoch took, and stops the run when the time is up. */
function timeBudget(options: { seconds: number }): Callback {
  const started = performance.now();
  let epochStarted = started;
  return callback({
    name: "timeBudget",
    onTrainEpochStart: () => {
      epochStarted = performance.now();
    },
    onTrainingRunEpochEnd: (trainer) => {
      const now = performance.now();
      trainer.runHistory.record("epoch_time", (now - epochStarted) / 1000, {
        unit: " s",
        direction: "lower",
      });
      if (now - started > 1000 * options.seconds) {
        throw new StopTrainingError(`Stopped: ${options.seconds} s are over`);
      }
    },
    onTrainingRunEnd: (trainer) => {
      const { value, epoch } = trainer.runHistory.best("epoch_time");
      trainer.print(`fastest_epoch=${epoch} seconds=${value.toFixed(3)}`);
    },
  });
}

const flags = parseFlags({ epochs: 5, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: flags.learningRate }),
  callbacks: [timeBudget({ seconds: 20 }), ...defaultCallbacks({ progressBar: false })],
  seed: flags.seed,
});
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
});
