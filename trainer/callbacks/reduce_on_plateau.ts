import { optim } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { watched } from "./early_stopping.ts";

/** Options of {@linkcode reduceOnPlateau}; the others are those of `optim.ReduceLROnPlateau`. */
export interface ReduceOnPlateauOptions extends Omit<optim.ReduceLROnPlateauOptions, "mode"> {
  /** Name in the run history; `eval_loss_epoch` by default. */
  readonly watchMetric?: string;
  /** Which way is better; what the history says when left out. */
  readonly direction?: "lower" | "higher";
}

/**
 * Lowers the learning rates when a metric has not improved for some epochs (`optim.ReduceLROnPlateau`), at the end of each. A `createScheduler` besides would
 * overrule it at the next step.
 */
export function reduceOnPlateau(options: ReduceOnPlateauOptions = {}): Callback {
  const { watchMetric = "eval_loss_epoch", direction, ...rest } = options;
  let scheduler: optim.ReduceLROnPlateau | undefined;
  let saved: optim.SchedulerStateDict | undefined;
  return callback({
    name: "reduceOnPlateau",
    onTrainingRunStart: () => {
      scheduler = saved = undefined;
    },
    onTrainingRunEpochEnd: (trainer) => {
      const { value, isBetter } = watched(trainer.runHistory, watchMetric, direction);
      if (scheduler === undefined) {
        const mode = isBetter(1, 0) ? "max" : "min";
        scheduler = new optim.ReduceLROnPlateau(trainer.optimizer!, { ...rest, mode });
        if (saved !== undefined) scheduler.loadStateDict(saved);
      }
      const before = trainer.optimizer!.paramGroups[0].lr;
      scheduler.step(value);
      const after = trainer.optimizer!.paramGroups[0].lr;
      if (after !== before) {
        trainer.print(`${watchMetric} stands still: the learning rate goes to ${after}`);
      }
    },
    stateDict: () => scheduler?.stateDict() ?? saved,
    loadStateDict: (state: optim.SchedulerStateDict) => {
      saved = state;
    },
  });
}
