import { type Callback, callback } from "../callback.ts";
import { StopTrainingError } from "../events.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode terminateOnNaN}. */
export interface TerminateOnNaNOptions {
  /** Training steps between two reads of the device; 50 by default. */
  readonly checkEvery?: number;
}

/**
 * Stops the run, on all ranks at the same step, once a loss is NaN or infinite.
 *
 * No step reads the device for it: one bad loss spoils the sum in the loss tracker for good, and that sum is read every `checkEvery` steps and at
 * the end of each epoch.
 */
export function terminateOnNaN(options: TerminateOnNaNOptions = {}): Callback {
  const { checkEvery = 50 } = options;
  const check = (trainer: Trainer, where: string) => {
    const isBad = !Number.isFinite(trainer.lossTracker.total().sum);
    // Every rank asks at the same step, so every rank stops at it.
    if (trainer.agree(isBad)) {
      throw new StopTrainingError(`Stopped: a loss is NaN or infinite ${where}`, {
        everywhere: true,
      });
    }
  };
  const epoch = (trainer: Trainer) => trainer.runHistory.currentEpoch;
  return callback({
    name: "terminateOnNaN",
    needsEveryStep: false,
    onTrainStepEnd: (trainer, { step, lastStep }) => {
      if ((step + 1) % checkEvery === 0) {
        check(trainer, `in training, epoch ${epoch(trainer)}, at or before batch ${lastStep}`);
      }
    },
    onTrainEpochEnd: (trainer) => check(trainer, `in training, epoch ${epoch(trainer)}`),
    onEvalEpochEnd: (trainer) => check(trainer, `in evaluation, epoch ${epoch(trainer)}`),
  });
}
