import { nn, noGrad, optim, realize, stepScope, type Tensor } from "@pta/core";
import type { Batch } from "../batch.ts";
import type { BatchLoader } from "../batch_source.ts";
import { callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";
import { AveragedWeights } from "./averaged_weights.ts";
import type { AveragingCallback } from "./model_ema.ts";

/** Options of {@linkcode weightAveraging}. */
export interface WeightAveragingOptions {
  /** The epoch, from 1, after which the first weights are taken; three quarters of the run by default. */
  readonly startEpoch?: number;
  /** Epochs between two takings; 1 by default. */
  readonly every?: number;
  /** The rate that is kept from the first taking on, for all groups or one each; the schedule goes on when left out. */
  readonly swaLr?: number | readonly number[];
  /** Epochs in which the rate goes from what it was to `swaLr`; 1 by default. */
  readonly annealEpochs?: number;
  /** Along a cosine, the default, or a straight line. */
  readonly annealStrategy?: "cos" | "linear";
  /** Whether statistics of batch normalisations are taken anew with the averaged weights, by a pass over the training data; true by default. */
  readonly updateBatchNorm?: boolean;
  /** Before the name of the loss of a last evaluation, on the averages, when there is evaluation data; `swa_` by default. */
  readonly prefix?: string;
  /** Whether the model ends the run with the averages; true by default. */
  readonly loadAtEnd?: boolean;
}

/** What a resumed run needs. */
interface SwaState {
  readonly taken: number;
  readonly weights: Record<string, Tensor> | undefined;
  readonly schedule: optim.SchedulerStateDict | undefined;
}

/**
 * Stochastic weight averaging: the plain mean of the weights after several late epochs, trained with a constant rate (Izmailov et al.,
 * arXiv:1803.05407). At the end the model gets the mean, statistics of batch normalisations are taken anew, and it is evaluated as `swa_eval_loss_epoch`.
 *
 * @throws {RangeError} When an option is out of range
 */
export function weightAveraging(options: WeightAveragingOptions = {}): AveragingCallback {
  const { every = 1, swaLr, annealEpochs = 1, annealStrategy = "cos" } = options;
  const { updateBatchNorm = true, prefix = "swa_", loadAtEnd = true } = options;
  checkCount("every", every);
  checkCount("annealEpochs", annealEpochs);
  if (options.startEpoch !== undefined) checkCount("startEpoch", options.startEpoch);
  let averages: AveragedWeights | undefined;
  let schedule: optim.SWALR | undefined;
  let rates: number[] | undefined;
  let taken = 0, start = 1;
  let current: Trainer | undefined;

  const setRates = (trainer: Trainer) => {
    trainer.optimizer!.paramGroups.forEach((group, i) => group.lr = rates?.[i] ?? group.lr);
  };
  const startSchedule = (state?: optim.SchedulerStateDict) => {
    if (swaLr === undefined) return;
    schedule = new optim.SWALR(current!.optimizer!, swaLr, { annealEpochs, annealStrategy });
    if (state !== undefined) schedule.loadStateDict(state);
    rates = schedule.getLastLr();
  };

  return {
    ...callback({
      name: "weightAveraging",
      onTrainingRunStart: (trainer) => {
        const { numEpochs } = trainer.runConfig;
        if (options.startEpoch === undefined && !Number.isFinite(numEpochs)) {
          throw new RangeError(
            "Cannot average weights of a run without a known end: give startEpoch",
          );
        }
        start = options.startEpoch ?? Math.max(1, Math.ceil(0.75 * numEpochs));
        current = trainer;
        averages?.dispose();
        averages = new AveragedWeights(trainer.model);
        [taken, schedule, rates] = [0, undefined, undefined];
      },
      onTrainEpochStart: (trainer) => {
        if (schedule === undefined && trainer.runHistory.currentEpoch > start) startSchedule();
      },
      // The run's own schedule goes on, and is overruled here.
      onTrainStepStart: setRates,
      onTrainEpochEnd: (trainer) => {
        const epoch = trainer.runHistory.currentEpoch;
        if (schedule !== undefined) {
          setRates(trainer);
          schedule.step();
          rates = schedule.getLastLr();
        }
        if (epoch < start || (epoch - start) % every !== 0) return;
        averages!.update(1 / (taken + 1));
        taken++;
      },
      onTrainingRunEnd: async (trainer) => {
        if (taken === 0) return;
        averages!.swapIn();
        try {
          if (updateBatchNorm && trainer.trainDataLoader !== undefined) {
            await updateBatchNormStatistics(trainer.model, trainer.trainDataLoader, {
              forward: (batch) => trainer.calculateTrainBatchLoss(batch),
              // Every rank takes part in as many batches, which synchronised normalisations need.
              maxBatches: trainer.reduce([trainer.trainDataLoader.length ?? Infinity], "min")[0],
              average: (values) => {
                const { worldSize } = trainer.runConfig;
                return trainer.reduce(values).map((x) => x / worldSize);
              },
            });
          }
          if (trainer.evalDataLoader !== undefined) {
            const { runHistory } = trainer, { metricPrefix } = runHistory;
            runHistory.metricPrefix = `${prefix}${metricPrefix ?? ""}`;
            try {
              await trainer.evaluateNow({ isIntermediate: false });
            } finally {
              runHistory.metricPrefix = metricPrefix;
            }
          }
          // With the statistics that go with the averages.
          averages!.loadStateDict(trainer.model.stateDict());
        } finally {
          averages!.swapOut();
        }
        if (loadAtEnd) averages!.copyToModel();
      },
      cleanup: () => averages?.swapOut(),
      stateDict: (): SwaState => ({
        taken,
        weights: averages?.stateDict(),
        schedule: schedule?.stateDict(),
      }),
      loadStateDict: (state: SwaState) => {
        taken = state.taken;
        if (state.weights !== undefined) averages!.loadStateDict(state.weights);
        if (state.schedule !== undefined) startSchedule(state.schedule);
      },
    }),
    weights: () => averages?.stateDict(),
  };
}

/** Options of {@linkcode updateBatchNormStatistics}. */
export interface UpdateBatchNormOptions {
  /** Runs the model on a batch; `model.forward(batch[0])` or `model.forward(batch)` when left out. */
  readonly forward?: (batch: Batch) => unknown;
  /** Batches to use at most; all by default. */
  readonly maxBatches?: number;
  /** Means of numbers over the ranks; nothing is averaged when left out. */
  readonly average?: (values: readonly number[]) => number[];
}

/**
 * Takes the running statistics of all batch normalisations anew, as plain means over the batches of one pass, without changing weights.
 *
 * @param model The model
 * @param batches The data
 * @param options How to run the model, and other ranks
 */
export async function updateBatchNormStatistics(
  model: nn.Module,
  batches: BatchLoader,
  options: UpdateBatchNormOptions = {},
): Promise<void> {
  const { maxBatches = Infinity, average } = options;
  const { forward = (batch) => model.forward(Array.isArray(batch) ? batch[0] : batch) } = options;
  const norms = model.modules().filter((m): m is nn.BatchNorm =>
    m instanceof nn.BatchNorm && m.trackRunningStats
  );
  if (norms.length === 0) return;
  const modes = model.modules().map((m) => [m, m.training] as const);
  const momenta = norms.map((m) => m.momentum);
  const setMomentum = (m: nn.BatchNorm, momentum: number | null) =>
    void Object.assign(m, { momentum });
  model.eval();
  for (const m of norms) {
    m.resetRunningStats();
    m.training = true;
    setMomentum(m, null);
  }
  try {
    const iterator = batches[Symbol.asyncIterator]?.() ?? batches[Symbol.iterator]!();
    for (let i = 0; i < maxBatches; i++) {
      using _scope = stepScope();
      const { done, value } = await iterator.next();
      if (done) break;
      noGrad(() => {
        forward(value);
        realize(...norms.flatMap((m) => m.buffers()));
      });
    }
    await iterator.return?.();
    if (average !== undefined) {
      for (const m of norms) {
        for (const t of [m.running_mean!, m.running_var!]) {
          t.copy_(average(Array.from(t.data() as Float32Array))).realize();
        }
      }
    }
  } finally {
    norms.forEach((m, i) => setMomentum(m, momenta[i]));
    for (const [module, training] of modes) module.training = training;
  }
}
