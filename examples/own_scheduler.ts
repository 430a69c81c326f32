/** A scheduler of one's own: a saw whose teeth get lower, for the rate, and a second one for the weight decay. Drawn before anything is trained. */
import {
  type CreateScheduler,
  defaultCallbacks,
  type FieldSchedulerState,
  learningRateMonitor,
  manualSeed,
  nn,
  optim,
  plotSchedule,
  StatelessScheduler,
  Trainer,
} from "@pta/accelerated";
import { loadDigits } from "./digits_data.ts";
import { parseFlags } from "./flags.ts";

/** Falls in a straight line in each of `teeth` equal parts of the run; each starts at 0.7 of the one before. */
class Saw extends StatelessScheduler<{ totalSteps: number; teeth: number }> {
  constructor(optimizer: optim.Optimizer, totalSteps: number, teeth: number, field = "lr") {
    super(optimizer, { totalSteps, teeth }, { field });
  }
  override valueAt(step: number, base: number): number {
    const { totalSteps, teeth } = this.fields;
    const position = teeth * Math.min(1, step / totalSteps), tooth = Math.floor(position);
    return base * 0.7 ** tooth * (1 - 0.9 * (position - tooth));
  }
}

/** Both in one. The run's length is in the configuration, counted in optimizer steps. */
const createScheduler: CreateScheduler = (optimizer, { maxNumTrainSteps }) => {
  const rate = new Saw(optimizer, maxNumTrainSteps!, 4);
  const decay = new Saw(optimizer, maxNumTrainSteps!, 1, "weightDecay");
  return {
    step: () => {
      rate.step();
      decay.step();
    },
    stateDict: () => ({ rate: rate.stateDict(), decay: decay.stateDict() }),
    loadStateDict: (state: { rate: FieldSchedulerState; decay: FieldSchedulerState }) => {
      rate.loadStateDict(state.rate);
      decay.loadStateDict(state.decay);
    },
  };
};

const flags = parseFlags({ epochs: 8, batchSize: 32, learningRate: 0.1, seed: 0 });
const { train, test } = await loadDigits();
manualSeed(flags.seed);
const model = new nn.Sequential(new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10));
const optimizer = new optim.SGD(model.parameters(), {
  lr: flags.learningRate,
  momentum: 0.9,
  weightDecay: 1e-3,
});
const trainer = new Trainer({
  model,
  lossFunc: new nn.CrossEntropyLoss(),
  optimizer,
  callbacks: [
    ...defaultCallbacks({ progressBar: false }),
    learningRateMonitor({ fields: ["lr", "weightDecay"] }),
  ],
  seed: flags.seed,
});
const svg = plotSchedule(createScheduler, { steps: 45 * flags.epochs, optimizer });
trainer.print(`The schedule is a picture of ${svg.length} bytes`);
await trainer.train({
  trainDataset: train,
  evalDataset: test,
  numEpochs: flags.epochs,
  perDeviceBatchSize: flags.batchSize,
  createScheduler,
});
const rates = trainer.runHistory.values("learning_rate");
trainer.print(`first_rate=${rates[0]} last_rate=${rates.at(-1)!.toFixed(5)}`);
