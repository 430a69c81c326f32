import { env } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";

/** Options of {@linkcode limitBatches}. */
export interface LimitBatchesOptions {
  /** Micro-batches of a training epoch at most, on each rank. */
  readonly train?: number;
  /** Batches of an evaluation at most, on each rank. */
  readonly eval?: number;
  /** Batches of an evaluation in the middle of an epoch at most, on each rank; `eval` holds too. */
  readonly intermediateEval?: number;
}

/**
 * Runs only so many batches of each pass: for a first try, and for cheap evaluations in the middle of an epoch. The run's configuration counts with the limit, so
 * schedules end where the run ends. Without options `PTA_LIMIT_BATCHES` in the environment limits both training and evaluation, and nothing does
 * when it is not set. The default callbacks have it.
 *
 * @throws {RangeError} When a number is not a whole number of at least 1
 */
export function limitBatches(options?: LimitBatchesOptions): Callback {
  const limits = options ?? fromEnvironment();
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined) checkCount(`${name} batches`, value);
  }
  return callback({
    name: "limitBatches",
    onInitEnd: (trainer) => void Object.assign(trainer.limits, limits),
  });
}

function fromEnvironment(): LimitBatchesOptions {
  const text = env("PTA_LIMIT_BATCHES") ?? "";
  if (text === "") return {};
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 1) return { train: count, eval: count };
  throw new RangeError(
    `Cannot use PTA_LIMIT_BATCHES=${text}: it must be a whole number of at least 1`,
  );
}
