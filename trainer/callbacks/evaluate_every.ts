import { type Callback, callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";

/** Options of {@linkcode evaluateEvery}. */
export interface EvaluateEveryOptions {
  /** Optimizer steps between two evaluations. */
  readonly steps: number;
  /** Name of the mean loss in the history; `intermediate_eval_loss` by default. */
  readonly metric?: string;
  /** Batches at most, on each rank; all by default. */
  readonly limitBatches?: number;
}

/**
 * Evaluates on the run's evaluation data every so many optimizer steps. The loss is recorded with its step and stays in the history, so that other callbacks
 * can watch it; training mode, training loss and captured steps stay as they are.
 *
 * @throws {RangeError} When the number of steps is not a whole number of at least 1
 */
export function evaluateEvery(options: EvaluateEveryOptions): Callback {
  const { steps, metric, limitBatches } = options;
  checkCount("steps", steps);
  if (limitBatches !== undefined) checkCount("limitBatches", limitBatches);
  return callback({
    name: "evaluateEvery",
    onTrainStepEnd: async (trainer, { isOptimizerStep }) => {
      if (!isOptimizerStep || trainer.numUpdates % steps !== 0) return;
      if (trainer.evalDataLoader === undefined) return;
      await trainer.evaluateNow({
        ...(metric === undefined ? {} : { metric }),
        ...(limitBatches === undefined ? {} : { limitBatches }),
      });
    },
  });
}
