/** Goes on with a run from a training state on disk. */
import {
  env,
  type HostField,
  type OptimizerStateDict,
  type StateDict,
  type Tensor,
} from "@pta/core";
import { RankEnv } from "@pta/core/dist/rank";
import type { Checkpointer, RunPosition, SavedRun } from "../resume.ts";
import type { Trainer } from "../trainer.ts";
import { convertPosition, rescheduled } from "./convert.ts";
import { TrainingStateError } from "./error.ts";
import { defaultFolder, findState, type ResumeFrom } from "./resume_from.ts";
import type { SavedBy } from "./save.ts";
import { type LoadedState, ownModel, ownOptimizer, readState } from "./training_state.ts";

/** Where `latest` looks: where the run's `saveState` callback writes. */
function folderOf(trainer: Trainer): string | undefined {
  const saver = trainer.callbacks.find((c) => c.name === "saveState");
  return (saver as { directory?: string } | undefined)?.directory;
}

/** What a launcher that has restarted the ranks asks for, of runs that save their state. */
export function resumeAskedByLauncher(trainer: Trainer): ResumeFrom | undefined {
  return folderOf(trainer) === undefined ? undefined : env(RankEnv.resume);
}

/** The checkpointer that a trainer has when it is given no other: training-state directories. */
export const directoryCheckpointer: Checkpointer = {
  async load(trainer: Trainer, resumeFrom: ResumeFrom): Promise<SavedRun | undefined> {
    const folder = folderOf(trainer) ?? defaultFolder;
    const state = await readState(
      () => findState(resumeFrom, folder, (line) => trainer.print(line)),
      trainer.comm,
    );
    if (state === undefined) return undefined;
    const device = trainer.model.parameters()[0]?.device;
    const model = Object.fromEntries(
      Object.entries<HostField>(state.model).map(([key, f]) => [key, f.toTensor(device)]),
    );
    const saved = sectionsFor(trainer, state, device);
    const by = saved.savedBy as SavedBy;
    loadModel(trainer, state.directory, { ...model, ...saved[ownModel] as StateDict });
    const { position, ...rest } = saved;
    const place = convertPosition(position as RunPosition, by, trainer.runConfig);
    const hasOtherSteps = place.numUpdates !== (position as RunPosition).numUpdates;
    if (hasOtherSteps) delete rest.scheduler;
    loadOptimizer(trainer, state.directory, by, () => {
      const dict = (saved[ownOptimizer] ?? state.optimizer(device)) as OptimizerStateDict;
      return hasOtherSteps ? rescheduled(trainer, place.numUpdates, dict) : dict;
    });
    trainer.print(
      `Going on from "${state.directory}": ${place.epoch} epochs and ${place.stepInEpoch} batches are over`,
    );
    // Names of parts that are not the trainer's are passed over there.
    return { position: place, states: new Map(Object.entries(rest)) };
  },
};

function loadModel(trainer: Trainer, directory: string, tensors: StateDict): void {
  fitting(directory, "model.safetensors", () => {
    trainer.model.loadStateDict(tensors);
    disposeAll(Object.values(tensors));
  });
}

function loadOptimizer(
  trainer: Trainer,
  directory: string,
  by: SavedBy,
  read: () => OptimizerStateDict,
): void {
  const file = "optimizer.safetensors", { name } = trainer.optimizer!;
  if (by.optimizer !== name) {
    throw new TrainingStateError(
      directory,
      "unfit",
      `${file} is of ${by.optimizer}, and this run has ${name}`,
    );
  }
  fitting(directory, file, () => {
    const dict = read();
    trainer.optimizer!.loadStateDict(dict);
    disposeAll(Object.values(dict.state).flatMap((own) => Object.values(own)));
  });
}

const disposeAll = (tensors: readonly Tensor[]): void => tensors.forEach((t) => t.dispose());

/** Says which file it was that did not fit. */
function fitting(directory: string, file: string, load: () => void): void {
  try {
    load();
  } catch (error) {
    if (error instanceof TrainingStateError) throw error;
    throw new TrainingStateError(
      directory,
      "unfit",
      `${file} does not fit. ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/**
 * This rank's sections. In a world of another size every rank starts from those of rank 0; the losses so far are counted on rank 0, and each rank draws
 * random numbers from a stream of its own.
 */
function sectionsFor(
  { runConfig: { rank, worldSize } }: Trainer,
  state: LoadedState,
  device?: string,
): Record<string, unknown> {
  const { worldSize: before } = state.manifest;
  if (worldSize === before) return state.sections(rank, device);
  const sections = state.sections(0, device);
  const { lossTracker } = sections;
  if (lossTracker !== undefined) {
    const all = Array.from(
      { length: before },
      (_, r) => state.sections(r, device).lossTracker as { sum: number; count: number },
    );
    sections.lossTracker = rank > 0
      ? { sum: 0, count: 0 }
      : { sum: total(all.map((x) => x.sum)), count: total(all.map((x) => x.count)) };
  }
  const random = sections.random as { seed: number; offset: number } | undefined;
  if (random !== undefined) {
    sections.random = { ...random, seed: (random.seed + rank * 2 ** 32) % 2 ** 53 };
  }
  return sections;
}

const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
