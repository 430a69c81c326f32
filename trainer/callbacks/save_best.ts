import { broadcastFromRoot, loadSafetensors, saveSafetensors } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import type { Trainer } from "../trainer.ts";
import { watched, type WatchOptions } from "./early_stopping.ts";

/** Options of {@linkcode saveBest}. */
export interface SaveBestOptions extends WatchOptions {
  /** File to write; `best_model.safetensors` by default. */
  readonly path?: string;
  /** Whether the model ends the run with its best weights; true by default. */
  readonly loadAtEnd?: boolean;
}

/**
 * Saves the weights as safetensors under PyTorch's keys whenever a metric is better than ever, and gives the model the best ones at the end of the
 * run. One rank writes, beside the file first and then in its place, so that a crash never leaves half a file there.
 */
export function saveBest(options: SaveBestOptions = {}): Callback {
  const {
    path = "best_model.safetensors",
    watchMetric = "eval_loss_epoch",
    resetOnTrain = true,
    loadAtEnd = true,
  } = options;
  let best: number | undefined;
  return callback({
    name: "saveBest",
    onTrainingRunStart: () => {
      if (resetOnTrain) best = undefined;
    },
    stateDict: () => ({ best }),
    loadStateDict: (state: { best?: number }) => {
      best = state.best;
    },
    onTrainingRunEpochEnd: async (trainer) => {
      const { value, isBetter } = watched(trainer.runHistory, watchMetric, options.direction);
      if (best !== undefined && !isBetter(value, best)) return;
      best = value;
      if (!trainer.runConfig.isWorldProcessZero) return;
      await writeModel(trainer, path);
    },
    onTrainingRunEnd: async (trainer) => {
      if (best === undefined || !loadAtEnd) return;
      if (trainer.runConfig.isWorldProcessZero) {
        trainer.model.loadStateDict(await loadSafetensors(path));
      }
      if (trainer.comm !== undefined) {
        broadcastFromRoot(Object.values(trainer.model.stateDict()), trainer.comm);
      }
      trainer.print(`Loaded the best model: ${watchMetric} ${best}`);
    },
  });
}

async function writeModel(trainer: Trainer, path: string): Promise<void> {
  await saveSafetensors(trainer.model.stateDict(), path);
}
