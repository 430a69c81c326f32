import { type Callback, callback } from "../callback.ts";
import { StopTrainingError } from "../events.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode timeBudget}; hours, minutes and seconds add up. */
export interface TimeBudgetOptions {
  /** Hours. */
  readonly hours?: number;
  /** Minutes. */
  readonly minutes?: number;
  /** Seconds. */
  readonly seconds?: number;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
}

/**
 * Stops the run in good order, on all ranks, once a time is used up; asked after each optimizer step and each epoch. A resumed run goes on with
 * what was left.
 *
 * @throws {RangeError} When the time is not above 0
 */
export function timeBudget(options: TimeBudgetOptions): Callback {
  const { hours = 0, minutes = 0, seconds = 0, now = () => performance.now() } = options;
  const budget = 3600 * hours + 60 * minutes + seconds;
  if (!(budget > 0)) {
    throw new RangeError(`Cannot train for ${budget} seconds: the budget must be above 0`);
  }
  let started = 0, before = 0;
  const used = () => before + (now() - started) / 1000;
  const check = (trainer: Trainer) => {
    if (used() < budget) return;
    throw new StopTrainingError(
      `Stopped: the ${budget} seconds are used up after ${trainer.numUpdates} steps`,
    );
  };
  return callback({
    name: "timeBudget",
    onTrainingRunStart: () => {
      [started, before] = [now(), 0];
    },
    stateDict: () => ({ seconds: used() }),
    loadStateDict: (state: { seconds: number }) => {
      before = state.seconds;
    },
    // Where the run can be saved, so that nothing is lost.
    onSafePoint: check,
  });
}
