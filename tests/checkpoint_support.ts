/** What the tests of training states share: a folder that goes away, a trainer with dropout and Adam. */
import { nn, optim } from "@pta/core";
import {
  type Callback,
  saveState,
  type SaveStateOptions,
  type TrainerOptions,
  type TrainOptions,
} from "@pta/trainer";
import { QuietTrainer, smallDataset, smallModel } from "./trainer_support.ts";

/** Gives `body` a folder, and takes it away afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "checkpoint_resume_" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is unusual about a trainer. */
export interface Options {
  readonly save?: SaveStateOptions;
  readonly callbacks?: readonly Callback[];
  readonly train?: Partial<TrainOptions>;
  readonly model?: nn.Module;
  readonly trainer?: Partial<TrainerOptions>;
  readonly optimizer?: (model: nn.Module) => optim.Optimizer;
}

/** A trainer with dropout and Adam, not trained yet. */
export function make(folder: string, options: Options = {}): QuietTrainer {
  const model = options.model ??
    new nn.Sequential(smallModel(3), new nn.Dropout(0.2));
  return new QuietTrainer({
    model,
    lossFunc: new nn.CrossEntropyLoss(),
    optimizer: options.optimizer?.(model) ?? new optim.Adam(model.parameters(), { lr: 0.05 }),
    seed: 5,
    callbacks: [
      saveState({ directory: folder, everySteps: 2, everyEpochs: 1, ...options.save }),
      ...options.callbacks ?? [],
    ],
    ...options.trainer,
  });
}

/** Trains for three epochs of six steps, from the latest state if there is one. */
export const train = async (trainer: QuietTrainer, options: Partial<TrainOptions> = {}) => {
  await trainer.train({
    trainDataset: smallDataset(22),
    evalDataset: smallDataset(7),
    numEpochs: 3,
    perDeviceBatchSize: 4,
    createScheduler: (optimizer) => new optim.OneCycleLR(optimizer, 0.1, { totalSteps: 40 }),
    resumeFrom: "latest",
    ...options,
  });
  return trainer;
};
