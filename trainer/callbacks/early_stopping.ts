import { type Callback, callback } from "../callback.ts";
import { StopTrainingError } from "../events.ts";
import { betterThan } from "../history.ts";
import type { RunHistory } from "../history.ts";

/** What a callback watches. */
export interface WatchOptions {
  /** Name in the run history; `eval_loss_epoch` by default. */
  readonly watchMetric?: string;
  /** Which way is better; what the history says when left out. */
  readonly direction?: "lower" | "higher";
  /** Whether each `train()` starts from nothing; true by default. */
  readonly resetOnTrain?: boolean;
}

/** Options of {@linkcode earlyStopping}. */
export interface EarlyStoppingOptions extends WatchOptions {
  /** Epochs without improvement before the run stops; 1 by default. */
  readonly patience?: number;
  /** Smaller changes are no improvement; 0.01 by default, in the unit of the metric. */
  readonly threshold?: number;
}

/** Stops the run when a metric has not improved for `patience` epochs. */
export function earlyStopping(options: EarlyStoppingOptions = {}): Callback {
  const { watchMetric = "eval_loss_epoch", patience = 1, threshold = 0.01, resetOnTrain = true } =
    options;
  let best: number | undefined;
  let epochsWithout = 0;
  return callback({
    name: "earlyStopping",
    onTrainingRunStart: () => {
      if (resetOnTrain) [best, epochsWithout] = [undefined, 0];
    },
    stateDict: () => ({ best, epochsWithout }),
    loadStateDict: (state: { best?: number; epochsWithout: number }) => {
      ({ best, epochsWithout } = { best: undefined, ...state });
    },
    onTrainingRunEpochEnd: ({ runHistory }) => {
      const { value, isBetter } = watched(runHistory, watchMetric, options.direction);
      if (best === undefined || (isBetter(value, best) && !(Math.abs(value - best) <= threshold))) {
        [best, epochsWithout] = [value, 0];
        return;
      }
      epochsWithout++;
      if (epochsWithout < patience) return;
      throw new StopTrainingError(
        `Stopped: ${watchMetric} has not improved on ${best} by more than ${threshold} for ${epochsWithout} epoch${
          epochsWithout > 1 ? "s" : ""
        }`,
      );
    },
  });
}

/**
 * The value of a watched metric and what is better than it.
 *
 * @param history Where it was recorded
 * @param name Its name
 * @param direction Which way is better; what the history says when left out
 * @throws {RangeError} When it was not recorded, or nobody says which way is better
 */
export function watched(
  history: RunHistory,
  name: string,
  direction?: "lower" | "higher",
): { value: number; isBetter: (a: number, b: number) => boolean } {
  const way = direction ?? history.get(name).direction;
  if (way === "none") {
    throw new RangeError(`Cannot watch "${name}": say which direction is better`);
  }
  const better = betterThan(way);
  return {
    value: history.latest(name),
    // Anything is better than NaN, and NaN than nothing.
    isBetter: (a, b) => better(a, b) || (Number.isNaN(b) && !Number.isNaN(a)),
  };
}
