import { saveSafetensors, type StateDict } from "@pta/core";
import { type Callback, callback } from "../callback.ts";
import { checkCount } from "../run_config.ts";
import type { Trainer } from "../trainer.ts";
import { AveragedWeights } from "./averaged_weights.ts";
import { watched } from "./early_stopping.ts";

/** Options of {@linkcode modelEma}. */
export interface ModelEmaOptions {
  /** Share of the averages that is kept at each update, at least 0 and below 1; 0.999 by default. */
  readonly decay?: number;
  /** Whether the decay of update t (from 0) is at most `(1 + t) / (10 + t)`, so that the first weights are soon forgotten; true by default. */
  readonly warmUp?: boolean;
  /** Optimizer steps between two updates; 1 by default. */
  readonly every?: number;
  /**
   * How the averages are evaluated. `beside`, the default: after each evaluation at the end of an epoch a second one, whose metrics have `prefix`
   * before their names. `instead`: every evaluation uses the averages. `none`: not at all.
   */
  readonly evaluate?: "beside" | "instead" | "none";
  /** Before the names of metrics of the averages; `ema_model_` by default. */
  readonly prefix?: string;
  /** A safetensors file for the averages, under the model's keys: the best ones by `watchMetric` where they are evaluated, else the last. */
  readonly savePath?: string;
  /** What the best averages are best by; the loss of their evaluation by default. */
  readonly watchMetric?: string;
  /** Which way it is better; what the history says when left out. */
  readonly direction?: "lower" | "higher";
  /** Whether the model ends the run with the averages; false by default. */
  readonly loadAtEnd?: boolean;
}

/** A callback that has averaged weights. */
export interface AveragingCallback extends Callback {
  /** The averages under the model's keys, once a run has started. */
  readonly weights: () => StateDict | undefined;
}

/**
 * Keeps an exponential moving average of the weights and buffers, updated after every optimizer step on the device:
 * `average = decay average + (1 - decay) weights`. Evaluations on it happen with the values of the model exchanged; they come back whatever happens.
 * Declare it before callbacks that watch its metrics. A resumed run goes on with the averages of its state.
 *
 * @throws {RangeError} When an option is out of range
 */
export function modelEma(options: ModelEmaOptions = {}): AveragingCallback {
  const { decay = 0.999, warmUp = true, every = 1, evaluate = "beside" } = options;
  const { prefix = "ema_model_", savePath, loadAtEnd = false } = options;
  const watchMetric = options.watchMetric ??
    (evaluate === "instead" ? "eval_loss_epoch" : `${prefix}eval_loss_epoch`);
  if (!(decay >= 0 && decay < 1)) {
    throw new RangeError(`Cannot average with decay ${decay}: it must be at least 0 and below 1`);
  }
  checkCount("every", every);
  let averages: AveragedWeights | undefined;
  let updates = 0;
  let best: number | undefined;

  const decayNow = () => warmUp ? Math.min(decay, (1 + updates) / (10 + updates)) : decay;
  const save = async (trainer: Trainer) => {
    if (savePath === undefined || !trainer.runConfig.isWorldProcessZero) return;
    await saveSafetensors(averages!.stateDict(), savePath);
  };
  const saveIfBest = async (trainer: Trainer) => {
    if (savePath === undefined || trainer.evalDataLoader === undefined || evaluate === "none") {
      return;
    }
    const { value, isBetter } = watched(trainer.runHistory, watchMetric, options.direction);
    if (best !== undefined && !isBetter(value, best)) return;
    best = value;
    await save(trainer);
  };

  return {
    ...callback({
      name: "modelEma",
      onTrainingRunStart: (trainer) => {
        averages?.dispose();
        averages = new AveragedWeights(trainer.model);
        [updates, best] = [0, undefined];
      },
      onTrainStepEnd: (trainer, { isOptimizerStep }) => {
        if (!isOptimizerStep || trainer.numUpdates % every !== 0) return;
        if (trainer.precision.wasStepSkipped()) return;
        averages!.update(1 - decayNow());
        updates++;
      },
      onEvalEpochStart: () => {
        if (evaluate === "instead") averages?.swapIn();
      },
      onEvalEpochEnd: () => {
        if (evaluate === "instead") averages?.swapOut();
      },
      onTrainingRunEpochEnd: async (trainer) => {
        if (evaluate === "beside" && trainer.evalDataLoader !== undefined) {
          averages!.swapIn();
          const { runHistory } = trainer, { metricPrefix } = runHistory;
          runHistory.metricPrefix = `${prefix}${metricPrefix ?? ""}`;
          try {
            await trainer.evaluateNow({ isIntermediate: false });
          } finally {
            runHistory.metricPrefix = metricPrefix;
            averages!.swapOut();
          }
        }
        await saveIfBest(trainer);
      },
      onStopTrainingError: () => averages?.swapOut(),
      onTrainingRunEnd: async (trainer) => {
        averages!.swapOut();
        if (best === undefined) await save(trainer);
        if (loadAtEnd) averages!.copyToModel();
      },
      cleanup: () => averages?.swapOut(),
      stateDict: (): EmaState | undefined =>
        averages && { updates, best, weights: averages.stateDict() },
      loadStateDict: (state: EmaState) => {
        averages!.loadStateDict(state.weights);
        ({ updates, best } = state);
      },
    }),
    weights: () => averages?.stateDict(),
  };
}

/** What a resumed run needs. */
interface EmaState {
  readonly updates: number;
  readonly best?: number;
  readonly weights: StateDict;
}
