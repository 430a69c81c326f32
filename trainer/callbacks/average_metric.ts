import { keep, noGrad, realize, type Tensor, zeros } from "@pta/core";
import type { Batch, BatchOutput } from "../batch.ts";
import { type Callback, callback } from "../callback.ts";
import type { TrainStepEnd } from "../events.ts";
import type { MetricFacts } from "../history.ts";
import type { Trainer } from "../trainer.ts";

/** Options of {@linkcode averageMetric}. */
export interface AverageMetricOptions extends Partial<MetricFacts> {
  /** Recorded as `train_<name>` and `eval_<name>`. */
  readonly name: string;
  /**
   * Values of a batch, such as `modelOutputs.argmax(1).eq(target)`: the metric is the mean of all elements of the epoch, on all ranks.
   */
  readonly compute: (batch: Batch, output: BatchOutput) => Tensor;
  /** Whether training steps count too; true by default. */
  readonly onTrain?: boolean;
}

/** A metric that is a mean over the elements of an epoch. Sum and count stay on the device until the epoch ends; every sample counts once. */
export function averageMetric(options: AverageMetricOptions): Callback {
  const { name, compute, onTrain = true, unit = "", direction = "none" } = options;
  // An evaluation in the middle of a training epoch must not touch the epoch's sum.
  const train = new Mean(), evaluation = new Mean();
  const add = (mean: Mean, batch: Batch, output: BatchOutput) =>
    noGrad(() => mean.add(compute(batch, output)));
  const end = (trainer: Trainer, mean: Mean, label: string) => {
    const [total, n] = trainer.reduce([mean.sum, mean.count]);
    trainer.runHistory.record(`${label}_${name}`, total / n, { unit, direction });
  };
  return callback({
    name: `averageMetric(${name})`,
    ...(onTrain
      ? {
        onTrainEpochStart: (trainer: Trainer) => train.start(trainer.lossTracker.device),
        onTrainStepEnd: (_: Trainer, e: TrainStepEnd) => {
          if (!e.isFiller) add(train, e.batch, e.batchOutput);
        },
        onTrainEpochEnd: (trainer: Trainer) => end(trainer, train, "train"),
      }
      : {}),
    stateDict: () => ({ sum: train.sum, count: train.count }),
    // A state from between two epochs has nothing to add up.
    loadStateDict: (state: { sum: number; count: number }) => train.load(state),
    onEvalEpochStart: (trainer) => evaluation.start(trainer.lossTracker.device),
    onEvalStepEnd: (_, { batch, batchOutput, isFiller }) => {
      if (!isFiller) add(evaluation, batch, batchOutput);
    },
    onEvalEpochEnd: (trainer) => end(trainer, evaluation, "eval"),
  });
}

/** Sum and count of elements; the sum lives on the device. */
class Mean {
  count = 0;
  #sum: Tensor | undefined;

  /** Empties it. */
  start(device: string): void {
    this.#sum ??= keep(zeros([], { dtype: "float64", device }));
    realize(this.#sum.zero_());
    this.count = 0;
  }

  /** Adds all elements, without reading any. */
  add(values: Tensor): void {
    this.#sum!.assign(this.#sum!.add(values.to("float64").sum()));
    realize(this.#sum!);
    this.count += values.numel;
  }

  /** Read from the device; 0 before the first start. */
  get sum(): number {
    return this.#sum?.item() ?? 0;
  }

  /** Takes over sum and count. */
  load(state: { readonly sum: number; readonly count: number }): void {
    if (this.#sum !== undefined) realize(this.#sum.copy_([state.sum]));
    this.count = state.count;
  }
}
