/** Which learning rate to try first. */
import type { data } from "@pta/core";
import { callback } from "../callback.ts";
import { StopTrainingError } from "../events.ts";
import { type LineOptions, plotLines } from "../history/plot.ts";
import type { TrainerOptions, TrainOptions } from "../options.ts";
import { Trainer } from "../trainer.ts";
import { restored } from "./restored.ts";

/** Options of {@linkcode findLearningRate}: what the trainer is made of, the data, and the range. */
export interface FindLearningRateOptions
  extends
    Omit<TrainerOptions, "callbacks" | "runHistory">,
    Pick<
      TrainOptions,
      "perDeviceBatchSize" | "trainDataLoaderOptions" | "collate" | "gradientClipNorm"
    > {
  /** Data to train on. */
  readonly trainDataset: data.Dataset;
  /** First rate; 1e-7 by default. */
  readonly minLr?: number;
  /** Last rate; 10 by default. */
  readonly maxLr?: number;
  /** Optimizer steps, each with a rate by the same factor above the last one; 100 by default. */
  readonly steps?: number;
  /** Share of the smoothed loss that is kept at each step; 0.9 by default. */
  readonly smoothing?: number;
  /** The search ends once the smoothed loss is this many times its least value; 4 by default. */
  readonly stopFactor?: number;
  /** Makes the trainer, for classes of one's own; `new Trainer(options)` when left out. */
  readonly createTrainer?: (options: TrainerOptions) => Trainer;
}

/** What a search has found. */
export interface LearningRateCurve {
  /** Rates of the steps taken, of the group with the largest rate. */
  readonly rates: readonly number[];
  /** Losses of the batches, means over the ranks. */
  readonly losses: readonly number[];
  /** The smoothed losses, corrected for their start. */
  readonly smoothed: readonly number[];
  /** The rate at which the smoothed loss falls most steeply; `undefined` when it never falls. */
  readonly suggestion: number | undefined;
  /** A tenth of the rate at which the smoothed loss is least: an upper bound. */
  readonly upper: number;
  /** Loss by rate as an SVG document, with the suggestion marked. */
  plot(options?: LineOptions): string;
}

/** Index of the steepest fall along the logarithm of the rate, and whether there is one. */
function steepest(rates: readonly number[], losses: readonly number[]): number | undefined {
  let best: number | undefined, least = 0;
  for (let i = 1; i + 1 < rates.length; i++) {
    const slope = (losses[i + 1] - losses[i - 1]) / Math.log(rates[i + 1] / rates[i - 1]);
    if (slope < least) [best, least] = [i, slope];
  }
  return best;
}

/**
 * Trains for some steps with rates that grow from `minLr` to `maxLr`, notes the losses, and gives model, optimizer and random numbers back what they had
 * (learning-rate range test: Smith, arXiv:1506.01186). Parameter groups keep the proportions of their rates.
 *
 * @param options Model, loss, optimizer, data, range
 * @returns The curve and what it suggests
 * @throws {RangeError} When the range makes no sense
 * @throws {ReferenceError} Without an optimizer
 */
export async function findLearningRate(
  options: FindLearningRateOptions,
): Promise<LearningRateCurve> {
  const { minLr = 1e-7, maxLr = 10, steps = 100, smoothing = 0.9, stopFactor = 4 } = options;
  const { model, optimizer, createTrainer = (o: TrainerOptions) => new Trainer(o) } = options;
  if (optimizer === undefined) {
    throw new ReferenceError("Cannot find a learning rate without an optimizer");
  }
  if (!(minLr > 0 && maxLr > minLr)) {
    throw new RangeError(
      `Cannot search from minLr ${minLr} to maxLr ${maxLr}: the second must be larger, the first above 0`,
    );
  }
  if (!(Number.isSafeInteger(steps) && steps >= 3)) {
    throw new RangeError(
      `Cannot search in ${steps} steps: it must be a whole number of at least 3`,
    );
  }
  if (!(smoothing >= 0 && smoothing < 1)) {
    throw new RangeError(
      `Cannot search with smoothing ${smoothing}: it must be at least 0 and below 1`,
    );
  }
  const rates: number[] = [], losses: number[] = [], smoothed: number[] = [];
  const largest = Math.max(...optimizer.paramGroups.map((g) => g.lr));
  const shares = optimizer.paramGroups.map((g) => largest > 0 ? g.lr / largest : 1);
  let average = 0, least = Infinity;

  const finder = callback({
    name: "learningRateFinder",
    onTrainStepStart: () => {
      const rate = minLr * (maxLr / minLr) ** (rates.length / (steps - 1));
      optimizer.paramGroups.forEach((group, i) => group.lr = rate * shares[i]);
      rates.push(rate);
    },
    onTrainStepEnd: (trainer, { batchOutput }) => {
      const loss = trainer.reduce([batchOutput.loss.item()])[0] / trainer.runConfig.worldSize;
      average = smoothing * average + (1 - smoothing) * loss;
      const now = average / (1 - smoothing ** rates.length);
      if (!Number.isFinite(loss) || now > stopFactor * least) {
        rates.pop();
        throw new StopTrainingError("The search is over: the loss grows", { everywhere: true });
      }
      losses.push(loss);
      smoothed.push(now);
      least = Math.min(least, now);
    },
  });

  await restored(model, optimizer, () => {
    const trainer = createTrainer({ ...options, callbacks: [finder] });
    // What the search prints would only confuse.
    trainer.print = () => {};
    return trainer.train({
      trainDataset: options.trainDataset,
      maxNumTrainSteps: steps,
      perDeviceBatchSize: options.perDeviceBatchSize,
      trainDataLoaderOptions: options.trainDataLoaderOptions,
      collate: options.collate,
      gradientClipNorm: options.gradientClipNorm,
    });
  });

  const at = steepest(rates, smoothed);
  const suggestion = at === undefined ? undefined : rates[at];
  return {
    rates,
    losses,
    smoothed,
    suggestion,
    upper: rates[smoothed.indexOf(Math.min(...smoothed))] / 10,
    plot: (more = {}) =>
      plotLines(
        [
          { label: "loss", points: rates.map((r, i) => [r, losses[i]] as const) },
          { label: "smoothed", points: rates.map((r, i) => [r, smoothed[i]] as const) },
        ],
        {
          xLabel: "learning rate",
          yLabel: "loss",
          logX: true,
          marks: at === undefined
            ? []
            : [{ x: rates[at], y: smoothed[at], text: rates[at].toPrecision(2) }],
          ...more,
        },
      ),
  };
}
