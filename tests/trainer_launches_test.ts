/** Several steps a launch in the trainer: the numbers are those of single steps, and whatever happens between steps keeps them single. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { nn, optim, setDefaultDevice } from "@pta/core";
import {
  callback,
  progressBar,
  saveState,
  type Scheduler,
  terminateOnNaN,
  type TrainerOptions,
  type TrainOptions,
} from "@pta/trainer";
import { numbers } from "./assert.ts";
import { devices, missing } from "./devices.ts";
import { QuietTrainer, smallDataset, smallModel } from "./trainer_support.ts";

/** Like `eachDevice`, for tests that wait. */
function eachDevice(name: string, fn: () => Promise<void>): void {
  for (const device of devices) {
    Deno.test({
      name: `${name} [${device}]`,
      ignore: missing(device) !== undefined,
      fn: async () => {
        const before = setDefaultDevice(device);
        try {
          await fn();
        } finally {
          setDefaultDevice(before);
        }
      },
    });
  }
}

interface Run {
  /** Of each step: its number, the steps that were made after it in the same launch, samples, updates so far, loss. */
  readonly steps: number[][];
  readonly parameters: number[][];
  readonly losses: (number | undefined)[];
  readonly lines: readonly string[];
}

type Options = Partial<TrainerOptions & TrainOptions>;

/** Trains with dropout for five epochs of eleven full batches and a short one. */
async function train(options: Options, Kind: typeof QuietTrainer = QuietTrainer): Promise<Run> {
  const steps: number[][] = [];
  const model = new nn.Sequential(smallModel(2), new nn.Dropout(0.2), new nn.Linear(3, 3));
  const trainer = new Kind({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: new optim.AdamW(model.parameters(), { lr: 0.02 }),
    seed: 7,
    ...options,
    callbacks: [
      callback({
        name: "notes",
        needsEveryStep: false,
        onTrainStepEnd: ({ numUpdates }, { step, lastStep, batchOutput: { loss, batchSize } }) =>
          void steps.push([step, lastStep - step, batchSize, numUpdates, loss.item()]),
      }),
      terminateOnNaN({ checkEvery: 1 }),
      progressBar({ isTerminal: false, write: () => {}, refreshEvery: 0 }),
      ...options.callbacks ?? [],
    ],
  });
  await trainer.train({
    trainDataset: smallDataset(46),
    evalDataset: smallDataset(6),
    numEpochs: 5,
    perDeviceBatchSize: 4,
    ...options,
  });
  const { runHistory } = trainer;
  return {
    steps,
    lines: trainer.lines,
    parameters: [...model.parameters()].map((p) => numbers(p)),
    losses: ["train_loss_epoch", "eval_loss_epoch"].flatMap((name) => runHistory.values(name)),
  };
}

/** All of a run but how many steps shared a launch. */
const outcome = ({ steps, parameters, losses }: Run) => ({
  steps: steps.map(([step, , ...rest]) => [step, ...rest]),
  parameters,
  losses,
});

eachDevice("four steps a launch are four single ones, bit for bit", async () => {
  const single = await train({}), together = await train({ stepsPerLaunch: 4 });
  assertEquals(outcome(together), outcome(single));
  assertEquals(single.steps.map(([, more]) => more), Array(60).fill(0));
  // Two launches of four; in the last the batch is short, so its steps are single.
  const epoch = [3, 2, 1, 0, 3, 2, 1, 0, 0, 0, 0, 0];
  assertEquals(together.steps.map(([, more]) => more), Array(5).fill(epoch).flat());
  assertEquals(together.lines.filter((line) => /launch/.test(line)), []);
});

eachDevice("the run's last step is the last of a launch that is not full", async () => {
  const limit = { maxNumTrainSteps: 30, numEpochs: undefined };
  const single = await train(limit), together = await train({ ...limit, stepsPerLaunch: 5 });
  assertEquals(outcome(together), outcome(single));
  assertEquals(together.steps.length, 30);
  // Of twelve steps an epoch two are left, and of the last six one.
  const epoch = [4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 0, 0];
  assertEquals(together.steps.map(([, more]) => more), [
    ...epoch,
    ...epoch,
    ...epoch.slice(0, 5),
    0,
  ]);
});

const each = callback({ name: "looks", onTrainStepEnd: () => {} });

/** What keeps steps single, and what is said about it. */
const between: Readonly<Record<string, [Options, RegExp]>> = {
  "a callback": [{ callbacks: [each] }, /the callback "looks" sees each/],
  "a callback that saves": [
    { callbacks: [saveState({ directory: Deno.makeTempDirSync(), everySteps: 7 })] },
    /the callback "saveState" sees each/,
  ],
  "a scheduler": [{
    createScheduler: (optimizer): Scheduler => ({
      step: () => void (optimizer.paramGroups[0].lr *= 0.9),
    }),
  }, /a scheduler runs/],
  "a window": [{ gradientAccumulationSteps: 2 }, /gradients are accumulated/],
  "no capture": [{ capture: false }, /they are not captured/],
};

for (const [name, [options, said]] of Object.entries(between)) {
  Deno.test(`steps stay single with ${name}, and the trainer says why once`, async () => {
    const single = await train(options);
    const asked = await train({ ...options, stepsPerLaunch: 4 });
    assertEquals(outcome(asked), outcome(single));
    assert(asked.steps.every(([, more]) => more === 0));
    const lines = asked.lines.filter((line) => line.startsWith("Steps run one a launch"));
    assertEquals(lines.length, 1);
    assert(said.test(lines[0]), lines[0]);
  });
}

Deno.test("a method that is called after each step keeps them single", async () => {
  let calls = 0;
  class Counting extends QuietTrainer {
    override schedulerStep(): void {
      calls++;
    }
  }
  const { steps, lines } = await train({ stepsPerLaunch: 4, numEpochs: 1 }, Counting);
  assertEquals([calls, steps.length], [12, 12]);
  assert(lines.some((line) => /a scheduler runs/.test(line)));
});

Deno.test("stepsPerLaunch must be a whole number of at least 1", () => {
  for (const stepsPerLaunch of [0, 1.5, -2, NaN]) {
    assertThrows(
      () => new QuietTrainer({ model: smallModel(), stepsPerLaunch }),
      RangeError,
      "stepsPerLaunch",
    );
  }
});
