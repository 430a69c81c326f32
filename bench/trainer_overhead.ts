/**
 * `deno run -A bench/trainer_overhead.ts --batch 32 --steps 500 --epochs 15`: what the trainer with its default callbacks takes over a loop written by
 * hand. Both train the same network on the same batches with the same captured step; their epochs take turns in one process, so that whatever else
 * the machine does meets both. One JSON line with the medians in microseconds a step and `overhead`, a share.
 */
import { parseArgs } from "@std/cli/parse-args";
import {
  callback,
  capture,
  data,
  defaultCallbacks,
  manualSeed,
  nn,
  optim,
  rand,
  randint,
  stepScope,
  type Tensor,
  Trainer,
} from "@pta/accelerated";
import { mlp } from "./models.ts";

const flags = parseArgs(Deno.args, { default: { batch: 32, steps: 500, epochs: 15 } });
const batchSize = Number(flags.batch), steps = Number(flags.steps), epochs = Number(flags.epochs);

manualSeed(0);
const samples = batchSize * steps;
const dataset = new data.TensorDataset(rand([samples, 784]), randint(0, 10, [samples]));

/** The loop by hand: loader, captured step, nothing else. */
function bareLoop(): () => Promise<number> {
  const model = mlp(), lossFunc = new nn.CrossEntropyLoss();
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
  const loader = new data.DataLoader<[Tensor, Tensor]>(dataset, { batchSize, shuffle: true });
  const step = capture((x: Tensor, y: Tensor): Tensor => {
    const loss = lossFunc.forward(model.forward(x), y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  return async () => {
    const start = performance.now();
    for await (const [x, y] of captureScopes(loader)) step(x, y);
    return performance.now() - start;
  };
}

/** The batches of an epoch, each in a step scope of its own. */
async function* captureScopes(
  loader: data.DataLoader<[Tensor, Tensor]>,
): AsyncGenerator<[Tensor, Tensor], void, void> {
  const iterator = loader[Symbol.asyncIterator]();
  for (;;) {
    using _scope = stepScope();
    const { done, value } = await iterator.next();
    if (done) return;
    yield value;
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

const bare = bareLoop(), ofBare: number[] = [], ofTrainer: number[] = [];
let began = 0;
const model = mlp();
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer: new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 }),
  callbacks: [
    ...defaultCallbacks(),
    callback({
      name: "stopwatch",
      onTrainEpochStart: () => {
        began = performance.now();
      },
      onTrainEpochEnd: () => void ofTrainer.push(performance.now() - began),
      onTrainingRunEpochEnd: async () => void ofBare.push(await bare()),
    }),
  ],
});
// The line of numbers is all that goes to standard output.
trainer.print = () => {};
await trainer.train({
  trainDataset: dataset,
  numEpochs: epochs + 1,
  perDeviceBatchSize: batchSize,
});

// The first epoch of each compiles and records.
const [t, b] = [ofTrainer, ofBare].map((all) => 1000 * median(all.slice(1)) / steps);
console.log(JSON.stringify({
  batch: batchSize,
  steps,
  epochs,
  bare_us_per_step: Number(b.toFixed(2)),
  trainer_us_per_step: Number(t.toFixed(2)),
  overhead: Number((t / b - 1).toFixed(4)),
}));
