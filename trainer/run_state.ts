/** Where a run stands: position, losses, and what is saved with it. */
import type { Tensor } from "@pta/core";
import type { Callback } from "./callback.ts";
import type { RecordOptions, RunHistory } from "./history.ts";
import { LossTracker } from "./loss_tracker.ts";
import type { RunPosition, Stateful } from "./resume.ts";
import type { AccumulationSchedule } from "./run_config.ts";
import { TrainerServices } from "./services.ts";

/** Bounds on batches that callbacks set; the smaller of these and the options of a run holds. */
export interface BatchLimits {
  /** Micro-batches of an epoch, on each rank; set before `train()`, or in `onInitEnd`. */
  train?: number;
  /** Batches of an evaluation, on each rank; read when one begins. */
  eval?: number;
  /** Batches of an evaluation that interrupts an epoch; read when one begins. */
  intermediateEval?: number;
}

/** Services and the state of the run. */
export abstract class TrainerRunState extends TrainerServices {
  /** Optimizer steps of this run so far. */
  numUpdates = 0;
  /** Bounds on batches, for callbacks to set. */
  readonly limits: BatchLimits = {};
  /** Micro-batches of a window from an epoch on, for callbacks to set in `onInitEnd`. */
  accumulationSchedule: AccumulationSchedule | undefined;
  readonly #trainLoss: LossTracker;
  readonly #evalLoss: LossTracker;
  readonly #registered: Map<string, Stateful> = new Map();
  #isEvaluating = false;
  #isAtSafePoint = false;
  #place = { epoch: 0, stepInEpoch: 0 };

  /**
   * Starts with no losses.
   * @param callbacks In the order they run
   * @param options Where metrics go, and where losses are
   */
  constructor(
    callbacks: readonly Callback[],
    options: { readonly runHistory: RunHistory | undefined; readonly device: string | undefined },
  ) {
    super(callbacks, options.runHistory);
    this.#trainLoss = new LossTracker(options.device);
    this.#evalLoss = new LossTracker(options.device);
  }

  /** Loss of the running pass on this rank: of the evaluation while there is one, else of the training epoch. */
  get lossTracker(): LossTracker {
    return this.#isEvaluating ? this.#evalLoss : this.#trainLoss;
  }

  /** Loss of the training epoch on this rank, whatever runs inside it. */
  get trainLossTracker(): LossTracker {
    return this.#trainLoss;
  }

  /** Whether an evaluation pass is running. */
  get isEvaluating(): boolean {
    return this.#isEvaluating;
  }

  /**
   * Turns to the losses of an evaluation; the loop calls it.
   *
   * @throws {RangeError} Inside another evaluation
   */
  startEvaluation(): void {
    if (this.#isEvaluating) throw new RangeError("Cannot evaluate inside an evaluation");
    this.#isEvaluating = true;
  }

  /** Turns back to the losses of training; the loop calls it. */
  endEvaluation(): void {
    this.#isEvaluating = false;
  }

  /** Where the run stands: what comes next. */
  get position(): RunPosition {
    return { ...this.#place, numUpdates: this.numUpdates };
  }

  /**
   * Whether the training state can be saved now: in the event `onSafePoint`, in `onStopTrainingError` when the run was stopped there, and when no run is
   * going on.
   */
  get isAtSafePoint(): boolean {
    return this.#isAtSafePoint || !this.isRunning;
  }

  /** Sets where the run stands; the loop calls it. After a whole step or epoch the callbacks may save. */
  reach(
    place: Omit<RunPosition, "numUpdates">,
    after: "step" | "epoch" | undefined,
  ): void | Promise<void> {
    this.#place = { epoch: place.epoch, stepInEpoch: place.stepInEpoch };
    this.#isAtSafePoint = after !== undefined;
    if (after !== undefined && this.listens("onSafePoint")) {
      return this.emit("onSafePoint", { after });
    }
  }

  /** Goes on from a safe point; the loop calls it. */
  leaveSafePoint(): void {
    this.#isAtSafePoint = false;
  }

  /**
   * Saves an object with the run from now on, and gives it its state back when the run is resumed. Register before `train()`.
   *
   * @param name Unique among the registered
   * @param object What to save
   * @throws {RangeError} When the name is taken by another object
   * @throws {TypeError} When the object lacks one of the two methods
   */
  registerState(name: string, object: Stateful): void {
    if (typeof object?.stateDict !== "function" || typeof object.loadStateDict !== "function") {
      throw new TypeError(
        `Cannot register "${name}": it must have the methods stateDict and loadStateDict`,
      );
    }
    if ((this.#registered.get(name) ?? object) !== object) {
      throw new RangeError(`Cannot register "${name}": another object has that name`);
    }
    this.#registered.set(name, object);
  }

  /** What {@linkcode registerState} and the callbacks add to the training state. */
  protected ownStates(): [string, Stateful][] {
    const states: [string, Stateful][] = [["lossTracker", this.#trainLoss]];
    for (const c of this.callbacks) {
      if (c.stateDict === undefined || c.loadStateDict === undefined) continue;
      states.push([`callbacks.${c.name}`, c as Stateful]);
    }
    for (const [name, object] of this.#registered) states.push([`objects.${name}`, object]);
    return states;
  }

  /**
   * Adds the loss of a batch to the pass's mean. Part of the step: it builds tensors only.
   *
   * @param loss 0-d: mean loss of the batch
   * @param weight What it is a mean over
   */
  updateLossTracker(loss: Tensor, weight: number | Tensor): void {
    this.lossTracker.update(loss, weight);
  }

  /** Records the loss tracker's mean over all ranks, and returns it. */
  recordLoss(metric: string, options: RecordOptions = {}): number {
    const { sum, count } = this.lossTracker.total();
    const [totalSum, totalCount] = this.reduce([sum, count]);
    const loss = totalSum / totalCount;
    this.runHistory.record(metric, loss, { direction: "lower", ...options });
    return loss;
  }
}
