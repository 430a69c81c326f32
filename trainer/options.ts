/** What the trainer's constructor and methods take. */
import type { Collate, CommHook, data, nn, optim, Tensor } from "@pta/core";
import type { Callback } from "./callback.ts";
import type { ResumeFrom } from "./checkpoint/resume_from.ts";
import type { RunHistory } from "./history.ts";
import type { MixedPrecision, MixedPrecisionOptions } from "./precision.ts";
import type { Checkpointer } from "./resume.ts";
import type { IterableDataset } from "./stream_loader.ts";
import type { TrainerRunConfig } from "./run_config.ts";

/** A loss with what it is a mean over, and more keys that pass through to the callbacks. */
export interface LossParts {
  /** 0-d: the mean loss. */
  readonly loss: Tensor;
  /** What it is a mean over, such as the number of tokens that count; the samples when left out. */
  readonly weight?: number | Tensor;
  /** Whatever else the loss knows, such as its terms. */
  readonly [key: string]: unknown;
}

/**
 * A loss: a function, or a module such as `nn.CrossEntropyLoss`, of model output and target. It gives a mean of one element, or an object that has it.
 * For a batch that is no array `[input, target]`, the target is the batch.
 */
export type LossFunc =
  // The model decides what its output is, the data what a target is.
  // deno-lint-ignore no-explicit-any
  | ((output: any, target: any) => Tensor | LossParts)
  // deno-lint-ignore no-explicit-any
  | { forward(output: any, target: any): Tensor | LossParts };

/** Changes something, usually the learning rate, after each optimizer step. */
export interface Scheduler {
  /** Called once after each optimizer step. */
  step(): void;
}

/** Makes a scheduler. Everything about the run's length is in the configuration, counted in optimizer steps. */
export type CreateScheduler = (
  optimizer: optim.Optimizer,
  runConfig: TrainerRunConfig,
) => Scheduler;

/** How gradients travel between ranks. */
export interface DataParallelOptions {
  /** A bucket of gradients is closed once it holds so many MiB; 25 by default. */
  readonly bucketCapMb?: number;
  /** `bf16` or `fp16`: gradients travel in 16 bits; `none` by default. */
  readonly commHook?: CommHook;
}

/** What {@linkcode Trainer} is made of. */
export interface TrainerOptions {
  /** Model to train or evaluate. */
  readonly model: nn.Module;
  /** Not needed when `calculateTrainBatchLoss` and `calculateEvalBatchLoss` are overridden. */
  readonly lossFunc?: LossFunc;
  /** Not needed to evaluate. */
  readonly optimizer?: optim.Optimizer;
  /** In the order they run; {@linkcode defaultCallbacks} when left out. */
  readonly callbacks?: readonly Callback[];
  /** Where metrics go; in memory when left out. */
  readonly runHistory?: RunHistory;
  /** Makes data order and random numbers of each `train()` repeatable. Left out, the generator is used as the user left it. */
  readonly seed?: number;
  /**
   * Type of products and convolutions: `bf16`, `fp16` with a scaled loss, or `no`; or more about it. Left out, `PTA_MIXED_PRECISION` decides, and else
   * `no`. Parameters and optimizer state stay in float32.
   */
  readonly mixedPrecision?: MixedPrecision | MixedPrecisionOptions;
  /**
   * Whether steps are captured and replayed. By default they are, unless a subclass overrides one of the methods that make up a step: a replay
   * does not call them again, so say `true` when yours only build tensors.
   */
  readonly capture?: boolean;
  /**
   * Optimizer steps that go to the device in one launch; 1 by default. A model so small that launching a step takes longer than computing it gains by 4 or
   * more. The numbers are the same. Events of these steps fire together: their `onTrainStepStart` before the launch, the rest after. Steps run one by one
   * where something happens between them: a scheduler, an accumulation window, a loss scaler, other ranks, a callback that
   * {@linkcode Callback.needsEveryStep}; the reason is printed once. Each launch holds the gradients of all its steps.
   */
  readonly stepsPerLaunch?: number;
  /** How gradients travel between ranks; PyTorch's names and defaults. */
  readonly dataParallel?: DataParallelOptions;
  /** Finds what `train({ resumeFrom })` names; training-state directories when left out. */
  readonly checkpointer?: Checkpointer;
}

/** What `train()` takes. */
export interface TrainOptions {
  /** Data to train on. */
  readonly trainDataset: data.Dataset | IterableDataset;
  /** Data to evaluate on after each epoch; no evaluation when left out. */
  readonly evalDataset?: data.Dataset | IterableDataset;
  /** Number of epochs; may be left out when `maxNumTrainSteps` is given. */
  readonly numEpochs?: number;
  /** Samples of a micro-batch on each rank; 8 by default. */
  readonly perDeviceBatchSize?: number;
  /** Number of optimizer steps; the smaller of both limits wins. */
  readonly maxNumTrainSteps?: number;
  /** Micro-batches of an optimizer step; 1 by default. */
  readonly gradientAccumulationSteps?: number;
  /** Bound on the absolute value of each gradient element, applied before the norm. */
  readonly gradientClipValue?: number;
  /** Bound on the 2-norm of all gradients together. */
  readonly gradientClipNorm?: number;
  /** Makes the scheduler of the run. */
  readonly createScheduler?: CreateScheduler;
  /** Laid over the defaults of the training loader. */
  readonly trainDataLoaderOptions?: Partial<data.DataLoaderOptions>;
  /** Laid over the defaults of the evaluation loader. */
  readonly evalDataLoaderOptions?: Partial<data.DataLoaderOptions>;
  /** Micro-batches of an epoch at most, on each rank; the run's configuration counts with it. */
  readonly limitTrainBatches?: number;
  /** Batches of an evaluation at most, on each rank. */
  readonly limitEvalBatches?: number;
  /** Joins samples to batches, in both loaders. */
  readonly collate?: Collate;
  /** Whether the history starts empty; true by default. A run that goes on takes the history it had. */
  readonly resetRunHistory?: boolean;
  /**
   * Goes on with a saved run: `latest` of what `saveState` has saved, a training-state directory, or a folder of them. Left out, a run with `saveState`
   * goes on with the latest when its launcher has restarted it.
   */
  readonly resumeFrom?: ResumeFrom;
}

/** What `evaluate()` takes. */
export interface EvaluateOptions {
  /** Data to evaluate on. */
  readonly dataset: data.Dataset | IterableDataset;
  /** Samples of a batch on each rank; 8 by default. */
  readonly perDeviceBatchSize?: number;
  /** Laid over the defaults of the loader. */
  readonly dataLoaderOptions?: Partial<data.DataLoaderOptions>;
  /** Batches at most, on each rank. */
  readonly limitBatches?: number;
  /** Joins samples to batches. */
  readonly collate?: Collate;
}

/** What `evaluateNow()` takes. */
export interface EvaluateNowOptions {
  /** Name of the mean loss in the history; `intermediate_eval_loss`, or `eval_loss_epoch` when the pass interrupts no epoch. */
  readonly metric?: string;
  /** Batches at most, on each rank; the limit of the run when left out. */
  readonly limitBatches?: number;
  /** Whether the pass interrupts a training epoch; its loss then belongs to the optimizer step. True by default. */
  readonly isIntermediate?: boolean;
}
