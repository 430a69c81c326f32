/** Metrics by overriding a step: the trainer returns more than the loss, and a callback sums it up on the device. */
import {
  averageMetric,
  type Batch,
  type BatchOutput,
  defaultCallbacks,
  earlyStopping,
  manualSeed,
  nn,
  optim,
  type Tensor,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** Adds to each evaluation batch whether the right class is among the three most likely. */
class TopThreeTrainer extends Trainer {
  override calculateEvalBatchLoss(batch: Batch): BatchOutput {
    const output = super.calculateEvalBatchLoss(batch);
    const logits = output.modelOutputs as Tensor, target = (batch as Tensor[])[1];
    const own = logits.gather(1, target.unsqueeze(1));
    // Fewer than three classes score higher than the right one.
    return { ...output, isTopThree: logits.gt(own).sum(1).lt(3) };
  }
}

const flags = parseFlags({ epochs: 10, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
const trainer = new TopThreeTrainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: flags.learningRate }),
  callbacks: [
    ...defaultCallbacks({ progressBar: false }),
    averageMetric({
      name: "top_three",
      direction: "higher",
      onTrain: false,
      compute: (_batch, output) => output.isTopThree as Tensor,
    }),
    earlyStopping({ watchMetric: "eval_top_three", patience: 3, threshold: 0.001 }),
  ],
  seed: flags.seed,
  capture: true, // the override only builds tensors, so its steps can be replayed
});
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
});
trainer.print(`best_top_three=${trainer.runHistory.best("eval_top_three").value.toFixed(4)}`);
