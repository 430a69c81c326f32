/** A metric in the loop itself: methods of the trainer that start, feed and close it. */
import {
  type Batch,
  type BatchOutput,
  defaultCallbacks,
  LossTracker,
  manualSeed,
  nn,
  optim,
  realize,
  type Tensor,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** Tracks the accuracy of each evaluation beside its loss. */
class AccuracyTrainer extends Trainer {
  readonly accuracy = new LossTracker();

  override async evalEpochStart(): Promise<void> {
    await super.evalEpochStart();
    this.accuracy.reset();
  }

  override calculateEvalBatchLoss(batch: Batch): BatchOutput {
    const output = super.calculateEvalBatchLoss(batch), [, target] = batch as Tensor[];
    const isRight = (output.modelOutputs as Tensor).argmax(1).eq(target).to("float32");
    // A running mean on the device: nothing is read before the end, so the step can be replayed.
    // A rank that only keeps the others company counts nothing.
    this.accuracy.update(isRight.mean(), this.isFillerStep ? 0 : output.batchSize);
    realize(...this.accuracy.tensors);
    return output;
  }

  override evalEpochEnd(): void {
    const { sum, count } = this.accuracy.total();
    const [right, all] = this.reduce([sum, count]);
    this.runHistory.record("accuracy", right / all, { direction: "higher" });
  }
}

const flags = parseFlags({ epochs: 10, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
const trainer = new AccuracyTrainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: flags.learningRate, momentum: 0.9 }),
  callbacks: defaultCallbacks({ progressBar: false }),
  seed: flags.seed,
  capture: true, // the override only builds tensors
});
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
});
trainer.print(`accuracy=${trainer.runHistory.latest("accuracy").toFixed(4)}`);
