/** The trainer. */
import {
  broadcastFromRoot,
  type data,
  defaultGenerator,
  initComm,
  manualSeed,
  type nn,
  type optim,
  readRank,
  type Tensor,
} from "@pta/core";
import { type Batch, type BatchOutput, batchSizeOf, pairOf } from "./batch.ts";
import type { BatchLoader } from "./batch_source.ts";
import { directoryCheckpointer, resumeAskedByLauncher } from "./checkpoint/checkpointer.ts";
import { createLoader } from "./create_loader.ts";
import { defaultCallbacks } from "./callbacks/default_callbacks.ts";
import { runEvalEpoch, runTraining } from "./loop.ts";
import type {
  EvaluateNowOptions,
  EvaluateOptions,
  LossFunc,
  Scheduler,
  TrainerOptions,
  TrainOptions,
} from "./options.ts";
import { type Checkpointer, earlyStates, type SavedRun, type Stateful } from "./resume.ts";
import { createRunConfig, type RunConfigOptions, type TrainerRunConfig } from "./run_config.ts";
import { TrainerServices } from "./services.ts";
import { StepRunner } from "./step.ts";

/**
 * Trains and evaluates a model: the loop, and nothing else. What a task does differently is a method to override; what is beside the task is a
 * {@linkcode Callback}. The order of events is {@linkcode eventOrder}.
 *
 * A step is captured and replayed when its shapes allow. Replays do not run JavaScript again, so a trainer that overrides one of the step methods
 * runs uncaptured unless `capture: true` is given.
 */
export class Trainer extends TrainerServices {
  /** The model. */
  readonly model: nn.Module;
  /** The loss, as given. */
  readonly lossFunc: LossFunc | undefined;
  /** The optimizer, as given. */
  readonly optimizer: optim.Optimizer | undefined;
  /** The scheduler of the run, when there is one. */
  scheduler: Scheduler | undefined;
  /** The loader being trained on. */
  trainDataLoader: BatchLoader | undefined;
  /** The loader being evaluated on. */
  evalDataLoader: BatchLoader | undefined;
  readonly #seed: number | undefined;
  readonly #capture: boolean | undefined;
  readonly #checkpointer: Checkpointer;
  #steps: StepRunner | undefined;
  #saved: SavedRun | undefined;
  #isResumed = false;
  #isRankSeeded = false;

  /**
   * Makes a trainer; nothing moves and nothing runs yet.
   * @param options Model, loss, optimizer, callbacks
   * @throws {RangeError} When two callbacks have one name
   */
  constructor(options: TrainerOptions) {
    super(options.callbacks ?? defaultCallbacks(), {
      runHistory: options.runHistory,
      device: options.model.parameters()[0]?.device,
    });
    this.model = options.model;
    this.lossFunc = options.lossFunc;
    this.optimizer = options.optimizer;
    this.#seed = options.seed;
    this.#capture = options.capture;
    this.#checkpointer = options.checkpointer ?? directoryCheckpointer;
    this.emit("onInitEnd", {});
  }

  /**
   * Trains. May be called again, to go on with other data or settings.
   *
   * @param options Data, limits and sizes
   * @throws {CallbackError} When a callback throws; names callback and event
   * @throws {RangeError} When a limit or a size makes no sense
   */
  async train(options: TrainOptions): Promise<void> {
    const { perDeviceBatchSize = 8, evalDataset, collate } = options;
    if (this.optimizer === undefined) {
      throw new ReferenceError("Cannot train without an optimizer: give one to the Trainer");
    }
    await this.exclusively(async () => {
      this.#start();
      const loading = collate === undefined ? {} : { collate };
      // Sizes and limits are checked before any data is touched.
      const asked = { ...options, trainPerDeviceBatchSize: perDeviceBatchSize };
      this.currentRunConfig = this.#createRunConfig({
        ...asked,
        evalPerDeviceBatchSize: evalDataset && perDeviceBatchSize,
      });
      this.trainDataLoader = this.createTrainDataLoader(options.trainDataset, perDeviceBatchSize, {
        ...loading,
        ...options.trainDataLoaderOptions,
      });
      this.evalDataLoader = evalDataset &&
        this.createEvalDataLoader(evalDataset, perDeviceBatchSize, {
          ...loading,
          ...options.evalDataLoaderOptions,
        });
      this.currentRunConfig = this.#createRunConfig({
        ...asked,
        trainPerDeviceBatchSize: options.trainDataLoaderOptions?.batchSize ?? perDeviceBatchSize,
        evalPerDeviceBatchSize: evalDataset &&
          (options.evalDataLoaderOptions?.batchSize ?? perDeviceBatchSize),
        numTrainBatchesPerEpoch: this.#agreeOnLength(options),
      });
      this.numUpdates = 0;
      await this.reach({ epoch: 0, stepInEpoch: 0 }, undefined);
      this.scheduler = options.createScheduler?.(this.optimizer!, this.currentRunConfig);
      this.#saved = await this.restore(options);
      this.#isResumed = this.#saved !== undefined;
      if (this.#saved !== undefined) await this.#restoreEarly(this.#saved);
      else if (options.resetRunHistory ?? true) this.runHistory.reset();
      await this.#withSteps((steps) => runTraining(this, steps));
    });
  }

  /**
   * Evaluates once; the mean loss is recorded as `evaluation_loss`. The history is not reset.
   *
   * @param options Data and sizes
   * @throws {CallbackError} When a callback throws; names callback and event
   */
  async evaluate(options: EvaluateOptions): Promise<void> {
    const { dataset, perDeviceBatchSize = 8, collate } = options;
    await this.exclusively(async () => {
      this.#start();
      const evalPerDeviceBatchSize = options.dataLoaderOptions?.batchSize ?? perDeviceBatchSize;
      this.currentRunConfig = this.#createRunConfig({ evalPerDeviceBatchSize });
      this.trainDataLoader = undefined;
      this.evalDataLoader = this.createEvalDataLoader(dataset, perDeviceBatchSize, {
        ...(collate === undefined ? {} : { collate }),
        ...options.dataLoaderOptions,
      });
      await this.evaluationRunStart();
      await this.emit("onEvaluationRunStart", {});
      await this.#withSteps((steps) => runEvalEpoch(this, steps, "evaluation_loss"));
      await this.evaluationRunEnd();
      await this.emitFinal("onEvaluationRunEnd", {});
    });
  }

  /**
   * Evaluates on the run's evaluation loader in the middle of training: between two steps, at the end of an epoch, or from any hook of training. Training
   * mode, loss tracker and captured steps stay as they are. All ranks must call it at the same point.
   *
   * @param options Name of the metric, and whether the pass interrupts an epoch
   * @returns The mean loss over all ranks, which is recorded as well
   * @throws {RangeError} Outside `train()`, without an evaluation dataset, or inside another evaluation
   */
  async evaluateNow(options: EvaluateNowOptions = {}): Promise<number> {
    if (this.#steps === undefined || this.evalDataLoader === undefined) {
      throw new RangeError(
        "Cannot evaluate now: evaluateNow() works inside train() with an evalDataset",
      );
    }
    const { isIntermediate = true } = options;
    const metric = options.metric ??
      (isIntermediate ? "intermediate_eval_loss" : "eval_loss_epoch");
    return await runEvalEpoch(this, this.#steps, metric, isIntermediate);
  }

  /** Everything that makes the run what it is, by name; see {@linkcode TrainerServices.registerState}. */
  trainingState(): ReadonlyMap<string, Stateful> {
    const states: [string, Stateful][] = [["model", this.model]];
    for (const name of ["optimizer", "scheduler", "trainDataLoader"] as const) {
      const part = this[name];
      if (isStateful(part)) states.push([name, part]);
    }
    if (isStateful(this.runHistory)) states.push(["history", this.runHistory]);
    const random = {
      stateDict: () => defaultGenerator.state(),
      loadStateDict: (state: { seed: number; offset: number }) => defaultGenerator.setState(state),
    };
    return new Map([...states, ...this.ownStates(), ["random", random]]);
  }

  /** Whether this run goes on with a saved one. */
  get isResumed(): boolean {
    return this.#isResumed;
  }

  /**
   * Finds the saved run that `resumeFrom` names; by default the checkpointer does. Nothing is loaded here.
   *
   * @returns `undefined` to start anew
   * @throws {TrainingStateError} When it is missing, foreign, damaged or of another model; names the file
   */
  protected async restore(options: TrainOptions): Promise<SavedRun | undefined> {
    const from = options.resumeFrom ?? resumeAskedByLauncher(this);
    return from === undefined ? undefined : await this.#checkpointer.load(this, from);
  }

  async #restoreEarly({ position, states }: SavedRun): Promise<void> {
    const known = this.trainingState();
    for (const name of earlyStates) {
      if (states.has(name)) known.get(name)?.loadStateDict(states.get(name));
    }
    this.numUpdates = position.numUpdates;
    await this.reach(position, undefined);
  }

  /** Loads what is loaded when the opening events have fired; the loop calls it. */
  restoreLate(): void {
    const saved = this.#saved;
    this.#saved = undefined;
    if (saved === undefined) return;
    for (const [name, part] of this.trainingState()) {
      const isLate = name === "history" || !earlyStates.includes(name);
      if (isLate && saved.states.has(name)) part.loadStateDict(saved.states.get(name));
    }
  }

  // The five steps of training, and the one of evaluation.

  /** Runs the model and the loss on a batch `[input, target]`. More keys of the result pass through to the callbacks. */
  calculateTrainBatchLoss(batch: Batch): BatchOutput {
    return this.#batchLoss(batch);
  }

  /** Makes gradients. `loss` is the batch's loss times its weight in the window (1 without accumulation, alone). */
  backwardStep(loss: Tensor): void {
    loss.backward();
  }

  /** Moves the parameters. The gradients are the clipped means over the window and the ranks. */
  optimizerStep(): void {
    this.optimizer!.step();
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
    return this.#batchLoss(batch);
  }

  // Data.

  /** Makes the training loader: shuffled by (seed, epoch), each rank with every worldSize-th sample of each global batch. */
  createTrainDataLoader(
    dataset: data.Dataset,
    batchSize: number,
    options: Partial<data.DataLoaderOptions>,
  ): BatchLoader {
    return createLoader(
      dataset,
      { batchSize, shuffle: true, seed: this.#seed, ...options },
      this.runConfig,
    );
  }

  /** Makes the evaluation loader: in order, each sample on exactly one rank. */
  createEvalDataLoader(
    dataset: data.Dataset,
    batchSize: number,
    options: Partial<data.DataLoaderOptions>,
  ): BatchLoader {
    return createLoader(
      dataset,
      { batchSize, shuffle: false, seed: this.#seed, ...options },
      this.runConfig,
    );
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

  #start(): void {
    const comm = initComm();
    this.comm = comm.worldSize > 1 ? comm : undefined;
    // Ranks draw different numbers (dropout masks), each of them repeatable.
    const { rank } = comm;
    if (this.#seed !== undefined) manualSeed(rankSeed(this.#seed, rank));
    else if (rank > 0 && !this.#isRankSeeded) {
      manualSeed(rankSeed(defaultGenerator.seed, rank));
    }
    this.#isRankSeeded = true;
    if (this.comm !== undefined) {
      broadcastFromRoot(Object.values(this.model.stateDict()), this.comm);
    }
  }

  #createRunConfig(options: Omit<RunConfigOptions, "rank" | "seed">): TrainerRunConfig {
    return createRunConfig({ ...options, seed: this.#seed, rank: readRank() });
  }

  /** Batches of an epoch, the same on every rank: as many as the fullest rank has, or full ones everywhere when the last is dropped. */
  #agreeOnLength(options: TrainOptions): number | undefined {
    const { length } = this.trainDataLoader!;
    if (length === undefined && (this.comm || (options.gradientAccumulationSteps ?? 1) > 1)) {
      throw new TypeError(
        "Cannot train on a loader without length over several ranks or with gradient accumulation",
      );
    }
    if (length === undefined) return undefined;
    const [least] = this.reduce([length], "min");
    if (least === 0) {
      throw new RangeError("Cannot train: the training data does not give every rank a batch");
    }
    return options.trainDataLoaderOptions?.dropLast ? least : this.reduce([length], "max")[0];
  }

  #batchLoss(batch: Batch): BatchOutput {
    const [input, target] = pairOf(batch), { lossFunc } = this;
    if (lossFunc === undefined) {
      throw new ReferenceError(
        "Cannot calculate a loss: give the Trainer a lossFunc or override calculateTrainBatchLoss and calculateEvalBatchLoss",
      );
    }
    const modelOutputs = this.model.forward(input) as Tensor;
    const loss = typeof lossFunc === "function"
      ? lossFunc(modelOutputs, target)
      : lossFunc.forward(modelOutputs, target);
    return { loss, modelOutputs, batchSize: batchSizeOf(target) };
  }

  async #withSteps(body: (steps: StepRunner) => Promise<unknown>): Promise<void> {
    const steps = new StepRunner(this, {
      train: this.#capture ?? !this.#overrides(
        "calculateTrainBatchLoss",
        "backwardStep",
        "optimizerStep",
        "optimizerZeroGrad",
      ),
      evaluate: this.#capture ?? !this.#overrides("calculateEvalBatchLoss"),
    });
    this.#steps = steps;
    try {
      await body(steps);
    } finally {
      this.#steps = undefined;
      steps.dispose();
    }
  }

  #overrides(...methods: (keyof Trainer)[]): boolean {
    return methods.some((name) => this[name] !== Trainer.prototype[name]);
  }
}

const isStateful = (x: unknown): x is Stateful =>
  typeof (x as Stateful | undefined)?.stateDict === "function" &&
  typeof (x as Stateful).loadStateDict === "function";

// Far apart, so that no rank's seed is one that a user would give to another run; seeds are below 2^53.
const rankSeed = (seed: number, rank: number) => (seed + rank * 2 ** 32) % 2 ** 53;
