/** An event of one's own: the trainer tells of every batch it finds hard, and callbacks that know the event hear it. */
import {
  type Batch,
  callback,
  defaultCallbacks,
  defineEvent,
  manualSeed,
  nn,
  optim,
  Trainer,
  type TrainStepEnd,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** A batch whose loss is above a bound. */
const onHardBatch = defineEvent<{ batch: Batch; loss: number }>("onHardBatch");

/** Raises the event. Reading a loss waits for the device, so only one step in ten is looked at. */
function findHardBatches(bound: number) {
  return callback({
    name: "findHardBatches",
    onTrainStepEnd: (trainer: Trainer, { batch, batchOutput, step }: TrainStepEnd) => {
      if (step % 10 !== 0) return;
      const loss = batchOutput.loss.item();
      if (loss > bound) return trainer.emit(onHardBatch, { batch, loss });
    },
  });
}

/** Hears it. */
function countHardBatches() {
  const losses: number[] = [];
  return callback({
    name: "countHardBatches",
    custom: [onHardBatch.hook((_trainer, { loss }) => void losses.push(loss))],
    onTrainingRunEnd: (trainer) => {
      const worst = Math.max(0, ...losses);
      trainer.print(`hard_batches=${losses.length} worst=${worst.toFixed(3)}`);
    },
  });
}

const flags = parseFlags({ epochs: 5, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: flags.learningRate }),
  callbacks: [
    ...defaultCallbacks({ progressBar: false }),
    findHardBatches(1),
    countHardBatches(),
  ],
  seed: flags.seed,
});
await trainer.train({
  trainDataset: train,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
  trainDataLoaderOptions: { dropLast: true },
});
