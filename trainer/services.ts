/** What the loop, callbacks and overridden methods use of a trainer: events, printing, and the other ranks. */
import type { Comm, ReduceOp, Tensor } from "@pta/core";
import type { Callback } from "./callback.ts";
import { gatherTensor, reduceNumbers } from "./collectives.ts";
import { type EventName, StopTrainingError, type TrainerEvents } from "./events.ts";
import { InMemoryRunHistory, type RecordOptions, type RunHistory } from "./history.ts";
import { LossTracker } from "./loss_tracker.ts";
import type { RunPosition, Stateful } from "./resume.ts";
import type { TrainerRunConfig } from "./run_config.ts";
import { CallbackRunner } from "./runner.ts";
import type { Trainer } from "./trainer.ts";

/** Base of {@linkcode Trainer}. */
export abstract class TrainerServices {
  /** Metrics of the run. */
  readonly runHistory: RunHistory;
  /** Optimizer steps of this run so far. */
  numUpdates = 0;
  /** Why the last training run stopped early; `undefined` when it did not. */
  stopReason: string | undefined;
  /** The other ranks; `undefined` when there are none. */
  comm: Comm | undefined;
  /** The frozen configuration of the run, once there is one. */
  protected currentRunConfig: TrainerRunConfig | undefined;
  readonly #runner: CallbackRunner;
  readonly #trainLoss: LossTracker;
  readonly #evalLoss: LossTracker;
  readonly #registered: Map<string, Stateful> = new Map();
  #isEvaluating = false;
  #isAtSafePoint = false;
  #place = { epoch: 0, stepInEpoch: 0 };
  readonly #logged: Set<string> = new Set();
  #isRunning = false;
  #lastBreath = 0;

  /**
   * Gathers what the methods share.
   * @param callbacks In the order they run
   * @param options Where metrics go, and where losses are
   */
  constructor(
    callbacks: readonly Callback[],
    options: { readonly runHistory: RunHistory | undefined; readonly device: string | undefined },
  ) {
    const { runHistory, device } = options;
    this.#trainLoss = new LossTracker(device);
    this.#evalLoss = new LossTracker(device);
    this.runHistory = runHistory ?? new InMemoryRunHistory();
    this.#runner = new CallbackRunner(callbacks);
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

  /** Whether the training state can be saved now: in the event `onSafePoint`, and when no run is going on. */
  get isAtSafePoint(): boolean {
    return this.#isAtSafePoint || !this.#isRunning;
  }

  /** Sets where the run stands; the loop calls it. After a whole step or epoch the callbacks may save. */
  async reach(
    place: Omit<RunPosition, "numUpdates">,
    after: "step" | "epoch" | undefined,
  ): Promise<void> {
    this.#place = { epoch: place.epoch, stepInEpoch: place.stepInEpoch };
    if (after === undefined || !this.#runner.listens("onSafePoint")) return;
    this.#isAtSafePoint = true;
    try {
      await this.emit("onSafePoint", { after });
    } finally {
      this.#isAtSafePoint = false;
    }
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

  /** What {@linkcode TrainerServices.registerState} and the callbacks add to the training state. */
  protected ownStates(): [string, Stateful][] {
    const states: [string, Stateful][] = [["lossTracker", this.#trainLoss]];
    for (const c of this.callbacks) {
      if (c.stateDict === undefined || c.loadStateDict === undefined) continue;
      states.push([`callbacks.${c.name}`, c as Stateful]);
    }
    for (const [name, object] of this.#registered) states.push([`objects.${name}`, object]);
    return states;
  }

  /** The callbacks, in the order they run. */
  get callbacks(): readonly Callback[] {
    return this.#runner.callbacks;
  }

  /**
   * The frozen configuration of the run.
   *
   * @throws {ReferenceError} Before the first `train()` or `evaluate()`
   */
  get runConfig(): TrainerRunConfig {
    if (this.currentRunConfig !== undefined) return this.currentRunConfig;
    throw new ReferenceError("Cannot read runConfig before train() or evaluate() has been called");
  }

  /**
   * Tells the callbacks. Alone, a stop that one of them raises is thrown here; with other ranks, at the next {@linkcode agreeOnStop}.
   *
   * @returns A promise only when a hook returned one
   * @throws {CallbackError} When a callback throws; names callback and event
   */
  emit<E extends EventName>(event: E, payload: TrainerEvents[E]): void | Promise<void> {
    const pending = this.#runner.emit(event, this as unknown as Trainer, payload);
    if (pending !== undefined) return pending.then(() => this.#throwStop());
    this.#throwStop();
  }

  /** Tells the callbacks of an event after which there is nothing left to stop. */
  async emitFinal<E extends EventName>(event: E, payload: TrainerEvents[E]): Promise<void> {
    await this.#runner.emit(event, this as unknown as Trainer, payload);
    this.#runner.takeStop();
  }

  #throwStop(): void {
    const stop = this.#runner.pendingStop;
    if (stop !== undefined && (this.comm === undefined || stop.everywhere)) {
      throw this.#runner.takeStop()!;
    }
  }

  /** Stops every rank when a callback on one of them has asked to. All ranks must call it at the same point. */
  agreeOnStop(): void {
    if (this.comm === undefined || !this.agree(this.#runner.pendingStop !== undefined)) return;
    throw this.#runner.takeStop() ??
      new StopTrainingError("Another rank has stopped the run", { everywhere: true });
  }

  /** Whether the condition holds on any rank. All ranks must ask at the same point. */
  agree(condition: boolean): boolean {
    return this.reduce([condition ? 1 : 0], "max")[0] > 0;
  }

  /** Combines numbers over the ranks, each position for itself. All ranks must call it. */
  reduce(values: readonly number[], op: ReduceOp = "sum"): number[] {
    return this.comm === undefined ? [...values] : reduceNumbers(values, op, this.comm);
  }

  /** Joins the tensors of all ranks along dimension 0, in rank order; sizes there may differ. All ranks must call it. */
  gather(tensor: Tensor): Tensor {
    return this.comm === undefined ? tensor : gatherTensor(tensor, this.comm);
  }

  /** Records the loss tracker's mean over all ranks, and returns it. */
  recordLoss(metric: string, options: RecordOptions = {}): number {
    const { sum, count } = this.lossTracker.total();
    const [totalSum, totalCount] = this.reduce([sum, count]);
    const loss = totalSum / totalCount;
    this.runHistory.record(metric, loss, { direction: "lower", ...options });
    return loss;
  }

  /** Prints a line, once a machine. */
  print(line: string): void {
    if (this.currentRunConfig?.isLocalProcessZero ?? true) console.log(line);
  }

  /** Prints a line the first time that its `topic` comes up. */
  logOnce(topic: string, line: string): void {
    if (this.#logged.has(topic)) return;
    this.#logged.add(topic);
    this.print(line);
  }

  /**
   * Lets timers and signals run, at most every 100 ms: a loop of resolved promises alone starves them.
   *
   * @returns A promise when it is time
   */
  breathe(): void | Promise<void> {
    const now = performance.now();
    if (now - this.#lastBreath < 100) return;
    this.#lastBreath = now;
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  /**
   * Runs `body` as the one run at a time, and every callback's cleanup after it.
   *
   * @throws {AggregateError} When `body` and a cleanup fail, or several cleanups
   */
  protected async exclusively(body: () => Promise<void>): Promise<void> {
    if (this.#isRunning) {
      throw new RangeError("Cannot start a run inside another one of the same trainer");
    }
    this.#isRunning = true;
    const errors: unknown[] = [];
    try {
      await body();
    } catch (error) {
      errors.push(error);
    }
    errors.push(...await this.#runner.cleanup(this as unknown as Trainer));
    this.#isRunning = false;
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) {
      const text = errors.map((e) => e instanceof Error ? e.message : String(e)).join("; ");
      throw new AggregateError(errors, text);
    }
  }
}
