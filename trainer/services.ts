/** What the loop, callbacks and overridden methods use of a trainer: events, printing, and the other ranks. */
import { type Comm, type ReduceOp, Tensor } from "@pta/core";
import { tensorsIn, withTensors } from "./batch.ts";
import type { Callback } from "./callback.ts";
import { gatherJson, gatherTensor, reduceNumbers, reduceTensor } from "./collectives.ts";
import {
  type DefinedEvent,
  type EventName,
  StopTrainingError,
  type TrainerEvents,
} from "./events.ts";
import { InMemoryRunHistory, type RunHistory } from "./history.ts";
import type { TrainerRunConfig } from "./run_config.ts";
import { CallbackRunner } from "./runner.ts";
import type { Trainer } from "./trainer.ts";

/** Base of {@linkcode Trainer}. */
export abstract class TrainerServices {
  /** Metrics of the run. */
  readonly runHistory: RunHistory;
  /** Why the last training run stopped early; `undefined` when it did not. */
  stopReason: string | undefined;
  /** The other ranks; `undefined` when there are none. */
  comm: Comm | undefined;
  /** Whether this rank only keeps the others company in the present step: its batch counts for nothing. */
  isFillerStep = false;
  /** The frozen configuration of the run, once there is one. */
  protected currentRunConfig: TrainerRunConfig | undefined;
  readonly #runner: CallbackRunner;
  readonly #logged: Set<string> = new Set();
  /** Whether a run is going on. */
  protected isRunning = false;
  #lastBreath = 0;

  /**
   * Gathers what the methods share.
   * @param callbacks In the order they run
   * @param runHistory Where metrics go; in memory when left out
   */
  constructor(
    callbacks: readonly Callback[],
    runHistory: RunHistory | undefined,
  ) {
    this.runHistory = runHistory ?? new InMemoryRunHistory();
    this.#runner = new CallbackRunner(callbacks);
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
  emit<E extends EventName>(event: E, payload: TrainerEvents[E]): void | Promise<void>;
  /** Tells the callbacks that have a `custom` hook of an event of your own. */
  emit<P>(event: DefinedEvent<P>, payload: P): void | Promise<void>;
  emit(event: EventName | DefinedEvent<unknown>, payload: unknown): void | Promise<void> {
    const trainer = this as unknown as Trainer;
    const pending = typeof event === "string"
      ? this.#runner.emit(event, trainer, payload as TrainerEvents[EventName])
      : this.#runner.emitDefined(event, trainer, payload);
    if (pending !== undefined) return pending.then(() => this.#throwStop());
    this.#throwStop();
  }

  /** Whether any callback has a hook for the event. */
  protected listens(event: EventName): boolean {
    return this.#runner.listens(event);
  }

  /** Name of a callback that must hear of each training step before the next one runs; see {@linkcode Callback.needsEveryStep}. */
  perStepCallback(): string | undefined {
    return this.#runner.perStep;
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

  /** Combines a tensor over the ranks, element by element. It is read from the device. All ranks must call it. */
  reduce(values: Tensor, op?: ReduceOp): Tensor;
  /** Combines numbers over the ranks, each position for itself. All ranks must call it. */
  reduce(values: readonly number[], op?: ReduceOp): number[];
  reduce(values: Tensor | readonly number[], op: ReduceOp = "sum"): Tensor | number[] {
    const { comm } = this;
    if (values instanceof Tensor) {
      return comm === undefined ? values : reduceTensor(values, op, comm);
    }
    return comm === undefined ? [...values] : reduceNumbers(values, op, comm);
  }

  /**
   * Joins tensors of all ranks along dimension 0, in rank order; sizes there may differ. They may be nested in arrays and objects. They are read
   * from the device. All ranks must call it.
   *
   * @throws {TypeError} When a tensor has no dimension
   */
  gather<T>(values: T): T {
    const { comm } = this;
    if (comm === undefined) return values;
    return withTensors(values, tensorsIn(values).map((t) => gatherTensor(t, comm)));
  }

  /**
   * Joins what a step of an evaluation (or of training) has for each sample, so that every sample is there once, whatever the sizes: a rank that only
   * keeps the others company adds nothing. Call it in `onEvalStepEnd` on all ranks.
   *
   * @param values Tensors with samples in dimension 0, alone or nested
   * @throws {TypeError} When a tensor has no dimension
   */
  gatherForMetrics<T>(values: T): T {
    if (!this.isFillerStep) return this.gather(values);
    return this.gather(withTensors(values, tensorsIn(values).map((t) => t.narrow(0, 0, 0))));
  }

  /** The values of all ranks in rank order, whatever JSON can say. All ranks must call it. */
  gatherObjects<T>(value: T): T[] {
    return this.comm === undefined ? [value] : gatherJson(value, this.comm);
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
   * Lets timers and signals run, at most every 200 ms: a loop of resolved promises alone starves them.
   *
   * @returns A promise when it is time
   */
  breathe(): void | Promise<void> {
    const now = performance.now();
    if (now - this.#lastBreath < 200) return;
    this.#lastBreath = now;
    return new Promise((resolve) => setTimeout(resolve, 0));
  }

  /**
   * Runs `body` as the one run at a time, and every callback's cleanup after it.
   *
   * @throws {AggregateError} When `body` and a cleanup fail, or several cleanups
   */
  protected async exclusively(body: () => Promise<void>): Promise<void> {
    if (this.isRunning) {
      throw new RangeError("Cannot start a run inside another one of the same trainer");
    }
    this.isRunning = true;
    const errors: unknown[] = [];
    try {
      await body();
    } catch (error) {
      errors.push(error);
    }
    errors.push(...await this.#runner.cleanup(this as unknown as Trainer));
    this.isRunning = false;
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) {
      const text = errors.map((e) => e instanceof Error ? e.message : String(e)).join("; ");
      throw new AggregateError(errors, text);
    }
  }
}
