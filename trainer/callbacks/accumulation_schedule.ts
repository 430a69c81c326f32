import { type Callback, callback } from "../callback.ts";
import type { AccumulationSchedule } from "../run_config.ts";

/**
 * Changes the number of micro-batches of an optimizer step from one epoch to another: `{ 1: 8, 5: 2 }` takes eight, and two from the fifth epoch of the run on.
 * The run's configuration counts with it: schedules see the true number of steps.
 *
 * @param schedule Micro-batches by the epoch, from 1, at which they begin; before the first, `gradientAccumulationSteps` of `train()`
 * @returns The callback; `train()` throws a RangeError for what is not a whole number of at least 1
 */
export function accumulationSchedule(schedule: AccumulationSchedule): Callback {
  return callback({
    name: "accumulationSchedule",
    onInitEnd: (trainer) => {
      trainer.accumulationSchedule = { ...schedule };
      return undefined;
    },
  });
}
