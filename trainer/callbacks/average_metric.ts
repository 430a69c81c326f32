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
  let sum: Tensor | undefined;
  let count = 0;
  const start = (trainer: Trainer) => {
    const { device } = trainer.lossTracker;
    sum ??= keep(zeros([], { dtype: "float64", device }));
    realize(sum.zero_());
    count = 0;
  };
  const add = (batch: Batch, output: BatchOutput) =>
    noGrad(() => {
      const values = compute(batch, output);
      sum!.assign(sum!.add(values.to("float64").sum()));
      realize(sum!);
      count += values.numel;
    });
  const end = (trainer: Trainer, label: string) => {
    const [total, n] = trainer.reduce([sum!.item(), count]);
    trainer.runHistory.record(`${label}_${name}`, total / n, { unit, direction });
  };
  return callback({
    name: `averageMetric(${name})`,
    ...(onTrain
      ? {
        onTrainEpochStart: start,
        onTrainStepEnd: (_: Trainer, e: TrainStepEnd) => {
          if (!e.isFiller) add(e.batch, e.batchOutput);
        },
        onTrainEpochEnd: (trainer: Trainer) => end(trainer, "train"),
      }
      : {}),
    stateDict: () => ({ sum: sum?.item() ?? 0, count }),
    loadStateDict: (state: { sum: number; count: number }) => {
      // Made at the start of an epoch; a state from between two epochs has nothing to add up.
      if (sum !== undefined) realize(sum.copy_([state.sum]));
      count = state.count;
    },
    onEvalEpochStart: start,
    onEvalStepEnd: (_, { batch, batchOutput }) => add(batch, batchOutput),
    onEvalEpochEnd: (trainer) => end(trainer, "eval"),
  });
}
