/** Saves a trainer's state. */
import type { StateDict } from "@pta/core";
import { accumulationAt } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";
import { together } from "./exchange.ts";
import { nextStatePath } from "./folder.ts";
import type { WatchedValue } from "./manifest.ts";
import { writeState } from "./training_state.ts";

/** What a resumed run must know of the run that was saved; the section `savedBy`. */
export interface SavedBy {
  /** Class of the optimizer. */
  readonly optimizer: string;
  /** Samples of a micro-batch on one rank. */
  readonly trainPerDeviceBatchSize: number;
  /** Micro-batches of an optimizer step. */
  readonly gradientAccumulationSteps: number;
  /** Micro-batches of an epoch on each rank, when known. */
  readonly numTrainBatchesPerEpoch: number | undefined;
  /** Ranks. */
  readonly worldSize: number;
}

/** Options of {@linkcode saveTrainingState}. */
export interface SaveTrainingStateOptions {
  /** Folder of states, made when missing; the state becomes `state_000001_step_200` in it, numbered by saves. */
  readonly directory: string;
  /** A metric to compare states by. */
  readonly metric?: WatchedValue;
}

/**
 * Saves the training state of a run: a directory that appears whole or not at all. Only in `onSafePoint`, and on all ranks; rank 0 alone writes.
 *
 * @param trainer Whose run
 * @param options Where to
 * @returns Path of the state
 * @throws {Error} Outside a safe point, or when the disk fails; earlier states stay as they are
 * @throws {TypeError} When a state holds what cannot be saved; names it
 */
export async function saveTrainingState(
  trainer: Trainer,
  options: SaveTrainingStateOptions,
): Promise<string> {
  if (!trainer.isAtSafePoint) {
    throw new Error("Cannot save the training state here: save it in the event onSafePoint");
  }
  // A state may be wrong on one rank only.
  const { model, optimizer, ...sections } = await together(
    () =>
      Object.fromEntries(
        [...trainer.trainingState()].map(([name, part]) => [name, part.stateDict()])
          .filter(([, state]) => state !== undefined),
      ),
    trainer.comm,
  );
  const { position, runConfig } = trainer;
  const { worldSize, trainPerDeviceBatchSize, numTrainBatchesPerEpoch } = runConfig;
  const savedBy: SavedBy = {
    optimizer: trainer.optimizer!.name,
    trainPerDeviceBatchSize: trainPerDeviceBatchSize!,
    gradientAccumulationSteps: accumulationAt(runConfig, position.epoch),
    numTrainBatchesPerEpoch,
    worldSize,
  };
  return await writeState(
    () => nextStatePath(options.directory, position.numUpdates),
    {
      model: model as StateDict,
      optimizer,
      sections: { savedBy, position, ...sections },
    },
    {
      ...position,
      worldSize,
      savedAt: new Date().toISOString(),
      metric: options.metric,
    },
    trainer.comm,
  );
}
