/** The configuration of one call of `train()` or `evaluate()`: plain, frozen data that is saved with the run. */
import type { MixedPrecision } from "./precision.ts";

/** Everything that a run was asked to do, with what follows from it. One unit of progress: the optimizer step. */
export interface TrainerRunConfig {
  /** Epochs that will run at most; the smaller of the two limits, when the loader's length is known. */
  readonly numEpochs: number;
  /** Optimizer steps that will run at most; `undefined` when only epochs limit and the loader's length is unknown. */
  readonly maxNumTrainSteps: number | undefined;
  /** Samples of a micro-batch on one rank. `undefined` in `evaluate()`. */
  readonly trainPerDeviceBatchSize: number | undefined;
  /** Samples of an evaluation batch on one rank. `undefined` without an evaluation dataset. */
  readonly evalPerDeviceBatchSize: number | undefined;
  /** Micro-batches of a window; the optimizer steps once a window. With an {@linkcode AccumulationSchedule}, those of the first epoch. */
  readonly gradientAccumulationSteps: number;
  /** Micro-batches of a window from an epoch on, where they change. */
  readonly accumulationSchedule: AccumulationSchedule | undefined;
  /** Bound on the absolute value of each gradient element. */
  readonly gradientClipValue: number | undefined;
  /** Bound on the 2-norm of all gradients together. */
  readonly gradientClipNorm: number | undefined;
  /** Samples of an optimizer step: batch x ranks x accumulation. */
  readonly trainTotalBatchSize: number | undefined;
  /** Samples of an evaluation step over all ranks. */
  readonly evalTotalBatchSize: number | undefined;
  /** Micro-batches of an epoch on each rank, the same on all. */
  readonly numTrainBatchesPerEpoch: number | undefined;
  /** Optimizer steps of an epoch, a partial last window included. */
  readonly numUpdateStepsPerEpoch: number | undefined;
  /** Bound on the micro-batches of an epoch. */
  readonly limitTrainBatches: number | undefined;
  /** Bound on the batches of an evaluation. */
  readonly limitEvalBatches: number | undefined;
  /** Batches of an evaluation on each rank, the same on all, when known. */
  readonly numEvalBatches: number | undefined;
  /** Type of products and convolutions. */
  readonly mixedPrecision: MixedPrecision;
  /** The seed of data order and random numbers, when the user gave one. */
  readonly seed: number | undefined;
  /** Processes. */
  readonly worldSize: number;
  /** This process's number. */
  readonly rank: number;
  /** This process's number on its machine. */
  readonly localRank: number;
  /** Whether there is more than one process. */
  readonly isDistributed: boolean;
  /** Whether this process speaks for its machine. */
  readonly isLocalProcessZero: boolean;
  /** Whether this process speaks for all. */
  readonly isWorldProcessZero: boolean;
}

/** From which epoch of the run, counted from 1, how many micro-batches make a window: `{ 1: 8, 5: 2 }`. */
export type AccumulationSchedule = Readonly<Record<number, number>>;

/**
 * Micro-batches of a window in an epoch.
 *
 * @param config Says how many, and when that changes
 * @param epoch 0-based epoch of the run, as in `trainer.position`
 */
export function accumulationAt(
  config: Pick<TrainerRunConfig, "gradientAccumulationSteps" | "accumulationSchedule">,
  epoch: number,
): number {
  let steps = config.gradientAccumulationSteps, from = 0;
  for (const [key, value] of Object.entries(config.accumulationSchedule ?? {})) {
    if (Number(key) <= epoch + 1 && Number(key) >= from) [steps, from] = [value, Number(key)];
  }
  return steps;
}

/**
 * Optimizer steps of the first epochs of a run; `undefined` when the loader's length is not known.
 *
 * @param config The run
 * @param epochs How many, also a fraction
 */
export function updatesIn(
  config: Pick<
    TrainerRunConfig,
    | "gradientAccumulationSteps"
    | "accumulationSchedule"
    | "numTrainBatchesPerEpoch"
    | "numUpdateStepsPerEpoch"
  >,
  epochs: number,
): number | undefined {
  const { numTrainBatchesPerEpoch: batches, numUpdateStepsPerEpoch: updates } = config;
  if (config.accumulationSchedule === undefined || batches === undefined) {
    return updates && updates * epochs;
  }
  let sum = 0;
  for (let e = 0; e < epochs; e++) {
    sum += Math.min(1, epochs - e) * Math.ceil(batches / accumulationAt(config, e));
  }
  return sum;
}

/** Optimizer steps of the first epochs, and the other way round. */
function countUpdates(batches: number, windowOf: (epoch: number) => number, lastChange: number) {
  const ofEpoch = (epoch: number) => Math.ceil(batches / windowOf(epoch));
  return {
    in: (epochs: number) => {
      let sum = 0;
      for (let e = 0; e < Math.min(epochs, lastChange); e++) sum += ofEpoch(e);
      return epochs > lastChange ? sum + (epochs - lastChange) * ofEpoch(lastChange) : sum;
    },
    epochsFor: (updates: number) => {
      let left = updates;
      for (let e = 0; e < lastChange; e++) {
        left -= ofEpoch(e);
        if (left <= 0) return e + 1;
      }
      return lastChange + Math.ceil(left / ofEpoch(lastChange));
    },
  };
}

/** What {@linkcode createRunConfig} starts from. */
export interface RunConfigOptions {
  /** Number of epochs; may be left out when `maxNumTrainSteps` is given. */
  readonly numEpochs?: number;
  /** Number of optimizer steps; the smaller of both limits wins. */
  readonly maxNumTrainSteps?: number;
  /** Samples of a micro-batch on one rank. */
  readonly trainPerDeviceBatchSize?: number;
  /** Samples of an evaluation batch on one rank. */
  readonly evalPerDeviceBatchSize?: number;
  /** Micro-batches of a window; 1 by default. */
  readonly gradientAccumulationSteps?: number;
  /** Micro-batches of a window from an epoch on; before the first one named, `gradientAccumulationSteps`. */
  readonly accumulationSchedule?: AccumulationSchedule;
  /** Bound on the absolute value of each gradient element. */
  readonly gradientClipValue?: number;
  /** Bound on the 2-norm of all gradients together. */
  readonly gradientClipNorm?: number;
  /** Micro-batches of an epoch on each rank, when known. */
  readonly numTrainBatchesPerEpoch?: number;
  /** Bound on the micro-batches of an epoch. */
  readonly limitTrainBatches?: number;
  /** Bound on the batches of an evaluation. */
  readonly limitEvalBatches?: number;
  /** Batches of an evaluation on each rank, when known. */
  readonly numEvalBatches?: number;
  /** Type of products and convolutions; `no` by default. */
  readonly mixedPrecision?: MixedPrecision;
  /** The user's seed. */
  readonly seed?: number;
  /** Where this process stands; alone by default. */
  readonly rank?: { readonly rank: number; readonly localRank: number; readonly worldSize: number };
}

/** Throws unless `value` is a whole number of at least `least`. */
export function checkCount(name: string, value: number, least = 1): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(
      `Cannot use ${name} ${value}: it must be a whole number of at least ${least}`,
    );
  }
}

function checkPositive(name: string, value: number | undefined): void {
  if (value !== undefined && !(value > 0)) {
    throw new RangeError(`Cannot use ${name} ${value}: it must be above 0`);
  }
}

const atMost = (count: number | undefined, limit: number | undefined): number | undefined =>
  count === undefined ? undefined : Math.min(count, limit ?? Infinity);

const product = (...factors: (number | undefined)[]): number | undefined =>
  factors.reduce((a, b) => a === undefined || b === undefined ? undefined : a * b);

/**
 * Checks the options and works out what follows from them.
 *
 * @param options What the user asked
 * @returns A frozen configuration
 * @throws {RangeError} When a count is not a positive whole number, a bound is not positive, or nothing limits the run
 */
export function createRunConfig(options: RunConfigOptions): TrainerRunConfig {
  const { accumulationSchedule, rank: place } = options;
  for (const [epoch, steps] of Object.entries(accumulationSchedule ?? {})) {
    checkCount("the epoch of an accumulation schedule", Number(epoch));
    checkCount(`gradientAccumulationSteps of epoch ${epoch}`, steps);
  }
  const asked = options.gradientAccumulationSteps ?? 1;
  checkCount("gradientAccumulationSteps", asked);
  const windowOf = (epoch: number) =>
    accumulationAt({ gradientAccumulationSteps: asked, accumulationSchedule }, epoch);
  const gradientAccumulationSteps = windowOf(0);
  for (
    const name of [
      "numEpochs",
      "maxNumTrainSteps",
      "trainPerDeviceBatchSize",
      "evalPerDeviceBatchSize",
      "limitTrainBatches",
      "limitEvalBatches",
    ] as const
  ) {
    const value = options[name];
    if (value !== undefined) checkCount(name.replace(/^(train|eval)Per/, "per"), value);
  }
  if (options.seed !== undefined) checkCount("seed", options.seed, 0);
  checkPositive("gradientClipValue", options.gradientClipValue);
  checkPositive("gradientClipNorm", options.gradientClipNorm);

  const { rank = 0, localRank = 0, worldSize = 1 } = place ?? {};
  const { limitTrainBatches, limitEvalBatches } = options;
  const batches = atMost(options.numTrainBatchesPerEpoch, limitTrainBatches);
  const updates = batches && Math.ceil(batches / gradientAccumulationSteps);
  const { numEpochs = Infinity, maxNumTrainSteps = Infinity } = options;
  const isTraining = options.trainPerDeviceBatchSize !== undefined;
  if (isTraining && numEpochs === Infinity && maxNumTrainSteps === Infinity) {
    throw new RangeError("Cannot train without a limit: give numEpochs, maxNumTrainSteps or both");
  }
  const lastChange = Math.max(1, ...Object.keys(accumulationSchedule ?? {}).map(Number)) - 1;
  const count = updates ? countUpdates(batches!, windowOf, lastChange) : undefined;
  const steps = Math.min(maxNumTrainSteps, count?.in(numEpochs) ?? Infinity);
  return Object.freeze({
    numEpochs: !isTraining ? 0 : Math.min(numEpochs, count?.epochsFor(steps) ?? Infinity),
    maxNumTrainSteps: steps === Infinity ? undefined : steps,
    trainPerDeviceBatchSize: options.trainPerDeviceBatchSize,
    evalPerDeviceBatchSize: options.evalPerDeviceBatchSize,
    gradientAccumulationSteps,
    accumulationSchedule,
    gradientClipValue: options.gradientClipValue,
    gradientClipNorm: options.gradientClipNorm,
    trainTotalBatchSize: product(
      options.trainPerDeviceBatchSize,
      worldSize,
      gradientAccumulationSteps,
    ),
    evalTotalBatchSize: product(options.evalPerDeviceBatchSize, worldSize),
    numTrainBatchesPerEpoch: batches,
    numUpdateStepsPerEpoch: updates,
    limitTrainBatches,
    limitEvalBatches,
    numEvalBatches: atMost(options.numEvalBatches, limitEvalBatches),
    mixedPrecision: options.mixedPrecision ?? "no",
    seed: options.seed,
    worldSize,
    rank,
    localRank,
    isDistributed: worldSize > 1,
    isLocalProcessZero: localRank === 0,
    isWorldProcessZero: rank === 0,
  });
}
