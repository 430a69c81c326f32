/** Two losses in one: a network that names a digit and draws it again from 16 numbers. Each loss has a tracker and a metric of its own. */
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

class Network extends nn.Module {
  readonly encoder = new nn.Sequential(new nn.Linear(64, 64), new nn.ReLU(), new nn.Linear(64, 16));
  readonly decoder = new nn.Sequential(new nn.Linear(16, 64), new nn.ReLU(), new nn.Linear(64, 64));
  readonly head = new nn.Linear(16, 10);
  override forward(x: Tensor): { logits: Tensor; image: Tensor } {
    const code = this.encoder.forward(x);
    return { logits: this.head.forward(code), image: this.decoder.forward(code) };
  }
}

/** Trains on the sum of the losses and tracks each. */
class TwoLossTrainer extends Trainer {
  readonly trackers = { class_loss: new LossTracker(), image_loss: new LossTracker() };

  #losses(batch: Batch): BatchOutput {
    const [x, y] = batch as Tensor[], modelOutputs = (this.model as Network).forward(x);
    const parts = {
      class_loss: nn.functional.crossEntropy(modelOutputs.logits, y),
      image_loss: nn.functional.mseLoss(modelOutputs.image, x),
    };
    const batchSize = x.shape[0], trackers = Object.values(this.trackers);
    // A rank that only keeps the others company counts nothing.
    const weight = this.isFillerStep ? 0 : batchSize;
    trackers.forEach((tracker, i) => tracker.update(Object.values(parts)[i], weight));
    realize(...trackers.flatMap((tracker) => tracker.tensors));
    return { loss: parts.class_loss.add(parts.image_loss.mul(5)), modelOutputs, batchSize };
  }
  #reset(): void {
    for (const tracker of Object.values(this.trackers)) tracker.reset();
  }
  #record(label: string): void {
    for (const [name, tracker] of Object.entries(this.trackers)) {
      const { sum, count } = tracker.total(), [all, n] = this.reduce([sum, count]);
      this.runHistory.record(`${label}_${name}`, all / n);
    }
  }

  override calculateTrainBatchLoss(batch: Batch): BatchOutput {
    return this.#losses(batch);
  }
  override calculateEvalBatchLoss(batch: Batch): BatchOutput {
    return this.#losses(batch);
  }
  override async trainEpochStart(): Promise<void> {
    await super.trainEpochStart();
    this.#reset();
  }
  override async evalEpochStart(): Promise<void> {
    await super.evalEpochStart();
    this.#reset();
  }
  override trainEpochEnd(): void {
    this.#record("train");
  }
  override evalEpochEnd(): void {
    this.#record("eval");
  }
}

const flags = parseFlags({ epochs: 10, batchSize: 32, learningRate: 0.003, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new Network();
const trainer = new TwoLossTrainer({
  model,
  optimizer: new optim.AdamW(model.parameters(), { lr: flags.learningRate }),
  callbacks: defaultCallbacks({ progressBar: false }),
  seed: flags.seed,
  capture: true, // the overrides only build tensors
});
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
});
const [classLoss, imageLoss] = ["eval_class_loss", "eval_image_loss"].map((name) =>
  trainer.runHistory.latest(name).toFixed(4)
);
trainer.print(`class_loss=${classLoss} image_loss=${imageLoss}`);
