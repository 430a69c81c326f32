/** The largest batch that fits into memory. */
import type { data } from "@pta/core";
import { callback } from "../callback.ts";
import type { TrainerOptions, TrainOptions } from "../options.ts";
import { checkCount } from "../run_config.ts";
import { Trainer } from "../trainer.ts";
import { restored } from "./restored.ts";

/** Whether an error, or what caused it, is a device without room. */
export function isOutOfMemory(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 10; e = e.cause, depth++) {
    if (e instanceof AggregateError && e.errors.some(isOutOfMemory)) return true;
    if (/^Cannot allocate .* (elements of|MiB) |out of memory|OUT_OF_MEMORY/i.test(e.message)) {
      return true;
    }
  }
  return false;
}

/** Options of {@linkcode withBatchSizeThatFits}. */
export interface BatchSizeThatFitsOptions {
  /** The first size; 128 by default. */
  readonly start?: number;
  /** The next size after one that did not fit; half of it, rounded down, by default. */
  readonly reduce?: (batchSize: number) => number;
  /** Told of each size that did not fit. */
  readonly onTooLarge?: (batchSize: number) => void;
}

/**
 * Calls `run` with ever smaller batch sizes until memory suffices. What `run` makes must be made anew at each call.
 *
 * @param run What takes the memory
 * @param options First size and how to go on
 * @returns What `run` returned, and the size
 * @throws {RangeError} When not even a batch of one sample fits; whatever else `run` throws
 */
export async function withBatchSizeThatFits<T>(
  run: (batchSize: number) => T | Promise<T>,
  options: BatchSizeThatFitsOptions = {},
): Promise<{ result: T; batchSize: number }> {
  const { start = 128, reduce = (n: number) => Math.floor(n / 2), onTooLarge } = options;
  checkCount("start", start);
  for (let batchSize = start;;) {
    try {
      return { result: await run(batchSize), batchSize };
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      onTooLarge?.(batchSize);
      const next = Math.floor(reduce(batchSize));
      if (!(next >= 1 && next < batchSize)) {
        throw new RangeError(
          `Cannot find a batch size that fits: ${batchSize} samples do not, and nothing smaller is left`,
          { cause: error },
        );
      }
      batchSize = next;
    }
  }
}

/** Options of {@linkcode findBatchSize}. */
export interface FindBatchSizeOptions
  extends
    Omit<TrainerOptions, "callbacks" | "runHistory">,
    Pick<TrainOptions, "trainDataLoaderOptions" | "collate"> {
  /** Data to train on. */
  readonly trainDataset: data.Dataset;
  /** The first size; 2 by default. */
  readonly start?: number;
  /** Larger sizes are not tried; the length of the dataset by default. */
  readonly max?: number;
  /** Optimizer steps of each trial; 3 by default, so that a step is captured and replayed. */
  readonly steps?: number;
  /** Whether sizes between powers of the start are tried too; true by default. */
  readonly refine?: boolean;
  /** Makes the trainer, for classes of one's own; `new Trainer(options)` when left out. */
  readonly createTrainer?: (options: TrainerOptions) => Trainer;
}

/**
 * Trains a few steps with batches that double until memory does not suffice, then, with `refine`, halves the interval. Model, optimizer and random numbers
 * get back what they had. For one process; several ranks ought to take the least of their results.
 *
 * @param options Model, loss, optimizer, data, sizes
 * @returns The largest size that fitted
 * @throws {RangeError} When not even `start` fits
 * @throws {ReferenceError} Without an optimizer
 */
export async function findBatchSize(options: FindBatchSizeOptions): Promise<number> {
  const { model, optimizer, trainDataset, start = 2, steps = 3, refine = true } = options;
  const { createTrainer = (o: TrainerOptions) => new Trainer(o) } = options;
  const max = options.max ?? trainDataset.length;
  if (optimizer === undefined) {
    throw new ReferenceError("Cannot find a batch size without an optimizer");
  }
  checkCount("start", start);
  checkCount("steps", steps);
  checkCount("max", max, start);
  const fits = async (batchSize: number): Promise<boolean> => {
    try {
      await restored(model, optimizer, () => {
        const trainer = createTrainer({ ...options, callbacks: [callback({ name: "none" })] });
        trainer.print = () => {};
        return trainer.train({
          trainDataset,
          collate: options.collate,
          maxNumTrainSteps: steps,
          perDeviceBatchSize: batchSize,
          trainDataLoaderOptions: { dropLast: true, ...options.trainDataLoaderOptions },
        });
      });
      return true;
    } catch (error) {
      if (isOutOfMemory(error)) return false;
      throw error;
    }
  };
  let good = 0, bad = max + 1;
  for (let size = start;; size = Math.min(2 * size, max)) {
    if (!await fits(size)) {
      bad = size;
      break;
    }
    good = size;
    if (size === max) return max;
  }
  if (good === 0) {
    throw new RangeError(`Cannot find a batch size: not even ${start} samples fit into memory`);
  }
  while (refine && bad - good > 1) {
    const middle = good + Math.floor((bad - good) / 2);
    if (await fits(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
