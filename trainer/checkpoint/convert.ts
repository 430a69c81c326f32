/** A saved run's place and schedule in the units of a run of another size. */
import type { OptimizerStateDict } from "@pta/core";
import type { RunPosition } from "../resume.ts";
import { accumulationAt, type TrainerRunConfig } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";
import type { SavedBy } from "./save.ts";

/**
 * The same place in the order of samples, in batches and optimizer steps of this run. Batches are rounded down to a whole window, so that at most the
 * samples of one optimizer step are seen twice; steps are counted as if the run had had its present size from the start, because its limits and schedules
 * are counted so.
 *
 * @param position Where the saved run stood
 * @param by How large its steps were
 * @param runConfig The present run
 */
export function convertPosition(
  position: RunPosition,
  by: SavedBy,
  runConfig: TrainerRunConfig,
): RunPosition {
  const { numTrainBatchesPerEpoch: length } = runConfig;
  const window = accumulationAt(runConfig, position.epoch);
  const before = by.trainPerDeviceBatchSize * by.worldSize;
  const now = runConfig.trainPerDeviceBatchSize! * runConfig.worldSize;
  if (before === now && by.gradientAccumulationSteps === window) return position;
  let stepInEpoch = Math.floor(position.stepInEpoch * before / now);
  stepInEpoch -= stepInEpoch % window;
  if (length === undefined) return { ...position, stepInEpoch };
  if (position.stepInEpoch === by.numTrainBatchesPerEpoch) stepInEpoch = length;
  let numUpdates = Math.ceil(stepInEpoch / window);
  for (let epoch = 0; epoch < position.epoch; epoch++) {
    numUpdates += Math.ceil(length / accumulationAt(runConfig, epoch));
  }
  return { ...position, stepInEpoch, numUpdates };
}

/**
 * Brings the new scheduler of a run to a number of steps, and an optimizer's state to what it has set.
 *
 * @param trainer Its optimizer has not been loaded yet
 * @param numUpdates Optimizer steps that count as over
 * @param saved The optimizer's saved state
 * @returns That state, with the options that belong to this run
 */
export function rescheduled(
  trainer: Trainer,
  numUpdates: number,
  saved: OptimizerStateDict,
): OptimizerStateDict {
  if (trainer.scheduler === undefined) return saved;
  for (let i = 0; i < numUpdates; i++) trainer.scheduler.step();
  const { param_groups } = trainer.optimizer!.stateDict();
  // Numbers of parameters and groups are checked where the state is loaded.
  const isSame = param_groups.length === saved.param_groups.length &&
    param_groups.every((g, i) => g.params.length === saved.param_groups[i].params.length);
  return isSame ? { ...saved, param_groups } : saved;
}
