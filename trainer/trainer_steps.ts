/** What a trainer does at each step and moment: the methods to override. */
import { type data, type nn, optim, type Tensor } from "@pta/core";
import type { Batch, BatchOutput } from "./batch.ts";
import { batchLoss } from "./batch_loss.ts";
import type { BatchLoader } from "./batch_source.ts";
import { createLoader } from "./create_loader.ts";
import { defaultCallbacks } from "./callbacks/default_callbacks.ts";
import type {
  CreateScheduler,
  DataParallelOptions,
  LossFunc,
  Scheduler,
  TrainerOptions,
} from "./options.ts";
import { TrainerPrecision } from "./precision.ts";
import { TrainerRunState } from "./run_state.ts";
import type { IterableDataset } from "./stream_loader.ts";

/** Base of {@linkcode Trainer}: what it is made of, its steps, loaders and moments. */
export abstract class TrainerSteps extends TrainerRunState {
  /** The model. */
  readonly model: nn.Module;
  /** The loss, as given. */
  readonly lossFunc: LossFunc | undefined;
  /** The optimizer, as given. */
  readonly optimizer: optim.Optimizer | undefined;
  /** The seed, as given. */
  readonly seed: number | undefined;
  /** Mixed precision and the loss scaler. */
  readonly precision: TrainerPrecision;
  /** How gradients travel between ranks, as given. */
  readonly dataParallel: DataParallelOptions;
  /** The scheduler of the run, when there is one. */
  scheduler: Scheduler | undefined;
  /** The loader being trained on. */
  trainDataLoader: BatchLoader | undefined;
  /** The loader being evaluated on. */
  evalDataLoader: BatchLoader | undefined;

  /**
   * Takes what a trainer is made of.
   * @param options Model, loss, optimizer, callbacks
   */
  constructor(options: TrainerOptions) {
    super(options.callbacks ?? defaultCallbacks(), {
      runHistory: options.runHistory,
      device: options.model.parameters()[0]?.device,
    });
    this.model = options.model;
    this.lossFunc = options.lossFunc;
    this.optimizer = options.optimizer;
    this.seed = options.seed;
    this.dataParallel = options.dataParallel ?? {};
    this.precision = new TrainerPrecision(options.mixedPrecision);
  }

  /** Where the model is. */
  get device(): string {
    return this.lossTracker.device;
  }

  /** The model, for code that is written for trainers which wrap theirs: this one does not. */
  getModel(): nn.Module {
    return this.model;
  }

  // The steps of training, and those of evaluation.

  /**
   * Runs the model and the loss on a batch; {@linkcode LossFunc} says how they are called. More keys of the result pass through to the callbacks.
   */
  calculateTrainBatchLoss(batch: Batch): BatchOutput {
    return batchLoss(this.model, this.lossFunc, batch);
  }

  /** Makes gradients. `loss` is the batch's loss times its weight in the window (1 without accumulation, alone) and the loss scale, if any. */
  backwardStep(loss: Tensor): void {
    loss.backward();
  }

  /**
   * Bounds the gradients, once a window, when they are the means over the window and the ranks: by value, then by norm.
   *
   * @returns 0-d: the norm before it was bounded, where it is bounded; the callbacks see it as `batchOutput.gradientNorm`
   */
  clipGradients(): Tensor | undefined {
    const { gradientClipValue, gradientClipNorm } = this.runConfig;
    const parameters = this.model.parameters();
    if (gradientClipValue !== undefined) optim.clipGradValue_(parameters, gradientClipValue);
    if (gradientClipNorm === undefined) return undefined;
    return optim.clipGradNorm_(parameters, gradientClipNorm);
  }

  /** Moves the parameters. The gradients are the clipped means over the window and the ranks. */
  optimizerStep(): void {
    this.precision.step(this.optimizer!);
  }

  /** Clears the gradients. */
  optimizerZeroGrad(): void {
    this.optimizer!.zeroGrad();
  }

  /** Steps the scheduler, once after each optimizer step. Never captured. */
  schedulerStep(): void {
    this.scheduler?.step();
  }

  /** Runs the model and the loss on a batch, without gradients. */
  calculateEvalBatchLoss(batch: Batch): BatchOutput {
    return batchLoss(this.model, this.lossFunc, batch);
  }

  // What a run is made of.

  /** Options of the training loader under those of `train()`: shuffled by (seed, epoch). */
  defaultTrainDataLoaderOptions(batchSize: number): Partial<data.DataLoaderOptions> {
    return { batchSize, shuffle: true, seed: this.seed };
  }

  /** Options of the evaluation loader under those of `train()` or `evaluate()`: in order. */
  defaultEvalDataLoaderOptions(batchSize: number): Partial<data.DataLoaderOptions> {
    return { batchSize, shuffle: false, seed: this.seed };
  }

  /** Makes the training loader: each rank has every worldSize-th sample of each global batch. */
  createTrainDataLoader(
    dataset: data.Dataset | IterableDataset,
    batchSize: number,
    options: Partial<data.DataLoaderOptions>,
  ): BatchLoader {
    const all = { ...this.defaultTrainDataLoaderOptions(batchSize), ...options };
    return createLoader(dataset, all, this.runConfig);
  }

  /** Makes the evaluation loader: each sample is on exactly one rank. */
  createEvalDataLoader(
    dataset: data.Dataset | IterableDataset,
    batchSize: number,
    options: Partial<data.DataLoaderOptions>,
  ): BatchLoader {
    const all = { ...this.defaultEvalDataLoaderOptions(batchSize), ...options };
    return createLoader(dataset, all, this.runConfig);
  }

  /** Makes the scheduler of a run, once its configuration is known; `train()` gives the factory it was called with. */
  createScheduler(factory: CreateScheduler | undefined): Scheduler | undefined {
    return factory?.(this.optimizer!, this.runConfig);
  }

  // Moments of a run. A method runs before the event of the same name.

  /** Before anything is trained. */
  trainingRunStart(): void | Promise<void> {}
  /** After training and evaluation of an epoch. */
  trainingRunEpochEnd(): void | Promise<void> {}
  /** After the last epoch or a stop. */
  trainingRunEnd(): void | Promise<void> {}
  /** Before `evaluate()` evaluates. */
  evaluationRunStart(): void | Promise<void> {}
  /** After `evaluate()` has evaluated. */
  evaluationRunEnd(): void | Promise<void> {}
  /** Puts the model into training mode. */
  trainEpochStart(): void | Promise<void> {
    this.model.train();
  }
  /** After the last step of an epoch, before its loss is recorded. */
  trainEpochEnd(): void | Promise<void> {}
  /** Puts the model into evaluation mode; the modes found are restored afterwards. */
  evalEpochStart(): void | Promise<void> {
    this.model.eval();
  }
  /** After the last step of an evaluation, before its loss is recorded. */
  evalEpochEnd(): void | Promise<void> {}
}
