/** Precision, recall and a confusion matrix by a callback of one's own: counts stay on the device until the evaluation ends. */
import {
  type Callback,
  callback,
  defaultCallbacks,
  keep,
  manualSeed,
  nn,
  noGrad,
  optim,
  realize,
  type Tensor,
  Trainer,
  zeros,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** Counts every (true class, predicted class), over all ranks, and records the means over the classes. */
function classificationMetrics(numClasses: number): Callback {
  let counts: Tensor | undefined;
  const record = { unit: "", direction: "higher" } as const;
  return callback({
    name: "classificationMetrics",
    onEvalEpochStart: () => {
      counts ??= keep(zeros([numClasses, numClasses]));
      realize(counts.zero_());
    },
    onEvalStepEnd: (_trainer, { batch, batchOutput, isFiller }) => {
      // A rank that only keeps the others company counts nothing.
      if (isFiller) return;
      noGrad(() => {
        const [, target] = batch as Tensor[];
        const predicted = (batchOutput.modelOutputs as Tensor).argmax(1);
        const hot = (t: Tensor) => nn.functional.oneHot(t, numClasses).to("float32");
        counts!.assign(counts!.add(hot(target).t().matmul(hot(predicted))));
        realize(counts!);
      });
    },
    onEvalEpochEnd: (trainer) => {
      const all = trainer.reduce(Array.from(counts!.data() as Float32Array));
      const at = (truth: number, predicted: number) => all[truth * numClasses + predicted];
      const classes = Array.from({ length: numClasses }, (_, c) => c);
      const sum = (f: (c: number) => number) => classes.reduce((total, c) => total + f(c), 0);
      const mean = (f: (c: number) => number) => sum(f) / numClasses;
      const { runHistory } = trainer;
      runHistory.record(
        "accuracy",
        sum((c) => at(c, c)) / sum((c) => sum((k) => at(c, k))),
        record,
      );
      runHistory.record("recall", mean((c) => at(c, c) / sum((k) => at(c, k))), record);
      runHistory.record(
        "precision",
        mean((c) => at(c, c) / Math.max(1, sum((k) => at(k, c)))),
        record,
      );
    },
  });
}

const flags = parseFlags({ epochs: 10, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: flags.learningRate, momentum: 0.9 }),
  callbacks: [classificationMetrics(10), ...defaultCallbacks({ progressBar: false })],
  seed: flags.seed,
});
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
});
const [precision, recall] = ["precision", "recall"].map((name) => trainer.runHistory.latest(name));
trainer.print(`precision=${precision.toFixed(4)} recall=${recall.toFixed(4)}`);
