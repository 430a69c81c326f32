/** The trainer. */
import { defaultGenerator, initComm, manualSeed, readRank, syncModelStates } from "@pta/core";
import { directoryCheckpointer, resumeAskedByLauncher } from "./checkpoint/checkpointer.ts";
import { agreeOnLength } from "./lengths.ts";
import { runEvalEpoch, runTraining } from "./loop.ts";
import type {
  EvaluateNowOptions,
  EvaluateOptions,
  TrainerOptions,
  TrainOptions,
} from "./options.ts";
import {
  type Checkpointer,
  earlyStates,
  loadPart,
  type SavedRun,
  type Stateful,
} from "./resume.ts";
import {
  checkCount,
  createRunConfig,
  type RunConfigOptions,
  type TrainerRunConfig,
} from "./run_config.ts";
import { StepRunner } from "./step.ts";
import { TrainerSteps } from "./trainer_steps.ts";

/**
 * Trains and evaluates a model: the loop, and nothing else. What a task does differently is a method to override; what is beside the task is a
 * {@linkcode Callback}. The order of events is {@linkcode eventOrder}.
 *
 * A step is captured and replayed when its shapes allow. Replays do not run JavaScript again, so a trainer that overrides one of the step methods
 * runs uncaptured unless `capture: true` is given.
 */
export class Trainer extends TrainerSteps {
  /** See {@linkcode TrainerOptions.stepsPerLaunch}. */
  readonly stepsPerLaunch: number;
  readonly #capture: boolean | undefined;
  readonly #checkpointer: Checkpointer;
  #steps: StepRunner | undefined;
  #saved: SavedRun | undefined;
  #isResumed = false;
  #isLoaderPlaced = false;
  #isRankSeeded = false;

  /**
   * Makes a trainer; nothing moves and nothing runs yet.
   * @param options Model, loss, optimizer, callbacks
   * @throws {RangeError} When two callbacks have one name, or `stepsPerLaunch` is not a whole number of at least 1
   */
  constructor(options: TrainerOptions) {
    super(options);
    this.#capture = options.capture;
    this.stepsPerLaunch = options.stepsPerLaunch ?? 1;
    checkCount("stepsPerLaunch", this.stepsPerLaunch);
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
      const limitTrainBatches = least(options.limitTrainBatches, this.limits.train);
      const limitEvalBatches = least(options.limitEvalBatches, this.limits.eval);
      const { accumulationSchedule } = this;
      const asked = { ...options, limitTrainBatches, limitEvalBatches, accumulationSchedule };
      this.currentRunConfig = this.#createRunConfig({
        ...asked,
        trainPerDeviceBatchSize: perDeviceBatchSize,
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
        numTrainBatchesPerEpoch: agreeOnLength(this, this.trainDataLoader, {
          dropsLast: options.trainDataLoaderOptions?.dropLast,
        }),
        numEvalBatches: this.evalDataLoader && agreeOnLength(this, this.evalDataLoader),
      });
      this.numUpdates = 0;
      await this.reach({ epoch: 0, stepInEpoch: 0 }, undefined);
      this.scheduler = this.createScheduler(options.createScheduler);
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
      const limitEvalBatches = least(options.limitBatches, this.limits.eval);
      const asked = { evalPerDeviceBatchSize, limitEvalBatches };
      this.currentRunConfig = this.#createRunConfig(asked);
      this.trainDataLoader = undefined;
      this.evalDataLoader = this.createEvalDataLoader(dataset, perDeviceBatchSize, {
        ...(collate === undefined ? {} : { collate }),
        ...options.dataLoaderOptions,
      });
      const numEvalBatches = agreeOnLength(this, this.evalDataLoader);
      this.currentRunConfig = this.#createRunConfig({ ...asked, numEvalBatches });
      await this.evaluationRunStart();
      await this.emit("onEvaluationRunStart", {});
      await this.#withSteps((steps) => runEvalEpoch(this, steps, { metric: "evaluation_loss" }));
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
    const limit = options.limitBatches ??
      (isIntermediate ? this.limits.intermediateEval : undefined);
    return await runEvalEpoch(this, this.#steps, { metric, isIntermediate, limit });
  }

  /** Everything that makes the run what it is, by name; see {@linkcode TrainerServices.registerState}. */
  trainingState(): ReadonlyMap<string, Stateful> {
    const states: [string, Stateful][] = [["model", this.model]];
    for (const name of ["optimizer", "scheduler"] as const) {
      const part = this[name];
      if (isStateful(part)) states.push([name, part as Stateful]);
    }
    if (this.precision.scaler !== undefined) states.push(["scaler", this.precision]);
    const loader = this.trainDataLoader;
    if (loader !== undefined && isStateful(loader)) {
      states.push(["trainDataLoader", {
        stateDict: () => loader.stateDict!(this.position.stepInEpoch),
        loadStateDict: (state) => loader.loadStateDict!(state),
      }]);
    }
    if (isStateful(this.runHistory)) states.push(["history", this.runHistory as Stateful]);
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
      const part = known.get(name);
      if (part !== undefined && states.has(name)) loadPart(name, part, states.get(name));
    }
    this.#isLoaderPlaced = states.get("trainDataLoader") !== undefined &&
      known.has("trainDataLoader");
    this.numUpdates = position.numUpdates;
    await this.reach(position, undefined);
  }

  /** Whether the loader has been told by its own state where the next epoch begins; the loop asks once. */
  takeLoaderPlaced(): boolean {
    const isPlaced = this.#isLoaderPlaced;
    this.#isLoaderPlaced = false;
    return isPlaced;
  }

  /** Loads what is loaded when the opening events have fired; the loop calls it. */
  restoreLate(): void {
    const saved = this.#saved;
    this.#saved = undefined;
    if (saved === undefined) return;
    for (const [name, part] of this.trainingState()) {
      const isLate = name === "history" || !earlyStates.includes(name);
      if (isLate && saved.states.has(name)) loadPart(name, part, saved.states.get(name));
    }
  }

  #start(): void {
    const comm = initComm();
    this.comm = comm.worldSize > 1 ? comm : undefined;
    // Ranks draw different numbers (dropout masks), each of them repeatable.
    const { rank } = comm;
    if (this.seed !== undefined) manualSeed(rankSeed(this.seed, rank));
    else if (rank > 0 && !this.#isRankSeeded) {
      manualSeed(rankSeed(defaultGenerator.seed, rank));
    }
    this.#isRankSeeded = true;
    if (this.comm !== undefined) {
      syncModelStates(this.model.stateDict(), this.comm);
    }
  }

  #createRunConfig(options: Omit<RunConfigOptions, "rank" | "seed">): TrainerRunConfig {
    const { mixedPrecision } = this.precision;
    return createRunConfig({ ...options, mixedPrecision, seed: this.seed, rank: readRank() });
  }

  async #withSteps(body: (steps: StepRunner) => Promise<unknown>): Promise<void> {
    const steps = new StepRunner(this, {
      train: this.#capture ?? !this.#overrides(
        "calculateTrainBatchLoss",
        "updateLossTracker",
        "backwardStep",
        "clipGradients",
        "optimizerStep",
        "optimizerZeroGrad",
      ),
      isAsked: this.#capture ?? false,
      evaluate: this.#capture ?? !this.#overrides("calculateEvalBatchLoss", "updateLossTracker"),
    });
    this.#steps = steps;
    using _ = this.precision.attach(this.model, this.device);
    if (this.precision.mixedPrecision !== "no") {
      this.logOnce("precision", `Mixed precision: ${this.precision.describe()}`);
    }
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

const isStateful = (x: unknown): boolean =>
  typeof (x as Stateful | undefined)?.stateDict === "function" &&
  typeof (x as Stateful).loadStateDict === "function";

const least = (...limits: (number | undefined)[]): number | undefined => {
  const given = limits.filter((x) => x !== undefined);
  return given.length === 0 ? undefined : Math.min(...given);
};

// Far apart, so that no rank's seed is one that a user would give to another run; seeds are below 2^53.
const rankSeed = (seed: number, rank: number) => (seed + rank * 2 ** 32) % 2 ** 53;
