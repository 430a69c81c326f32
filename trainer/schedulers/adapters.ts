/** Schedulers that were made for other loops: by epochs, by epochs and updates, one cycle. */
import { optim } from "@pta/core";
import type { CreateScheduler, Scheduler } from "../options.ts";
import { type TrainerRunConfig, updatesIn } from "../run_config.ts";
import { totalSteps } from "./span.ts";

/** A scheduler in the style of timm: told of updates and of epochs, both counted from 0, those that are over. */
export interface TimmScheduler {
  /** Called after each epoch with the number of epochs that are over. */
  step(epoch: number): void;
  /** Called after each optimizer step with the number of steps that are over. */
  stepUpdate(numUpdates: number): void;
  /** State; JSON can hold it. */
  stateDict?(): unknown;
  /** Takes over a state. */
  // The state is the scheduler's own.
  // deno-lint-ignore no-explicit-any
  loadStateDict?(state: any): void;
}

/** State of the adapters. */
export interface AdapterState {
  /** Optimizer steps taken. */
  readonly numUpdates: number;
  /** Epochs that are over. */
  readonly epoch: number;
  /** State of the scheduler inside. */
  readonly inner: unknown;
}

interface Stateful {
  stateDict?(): unknown;
  // deno-lint-ignore no-explicit-any
  loadStateDict?(state: any): void;
}

/** Counts steps and epochs, and passes the state through. */
abstract class Adapter<S extends Stateful> implements Scheduler {
  readonly inner: S;
  readonly #config: TrainerRunConfig;
  numUpdates = 0;
  #epoch = 0;

  constructor(inner: S, config: TrainerRunConfig) {
    if (config.numUpdateStepsPerEpoch === undefined) {
      throw new RangeError("Cannot schedule by epochs: the loader has no known length");
    }
    this.inner = inner;
    this.#config = config;
  }

  step(): void {
    this.numUpdates++;
    const hasEnded = this.numUpdates >= updatesIn(this.#config, this.#epoch + 1)!;
    if (hasEnded) this.#epoch++;
    this.advance(hasEnded ? this.#epoch : undefined);
  }

  /** Tells the scheduler inside; `epoch` epochs are over when one has just ended. */
  protected abstract advance(epoch: number | undefined): void;

  stateDict(): AdapterState {
    return { numUpdates: this.numUpdates, epoch: this.#epoch, inner: this.inner.stateDict?.() };
  }

  loadStateDict(state: AdapterState): void {
    this.numUpdates = state.numUpdates;
    this.#epoch = state.epoch;
    if (state.inner !== undefined) this.inner.loadStateDict?.(state.inner);
  }
}

class TimmAdapter extends Adapter<TimmScheduler> {
  protected override advance(epoch: number | undefined): void {
    this.inner.stepUpdate(this.numUpdates);
    if (epoch !== undefined) this.inner.step(epoch);
  }
}

class EpochAdapter extends Adapter<Scheduler & Stateful> {
  protected override advance(epoch: number | undefined): void {
    if (epoch !== undefined) this.inner.step();
  }
}

/** Makes a scheduler of the run's configuration; what it returns is for the adapters. */
export type CreateFor<S> = (optimizer: optim.Optimizer, config: TrainerRunConfig) => S;

/**
 * Uses a scheduler in the style of timm: `stepUpdate(n)` after optimizer step n, and `step(k)` after epoch k, whether or not there is an evaluation.
 *
 * @param create Makes it
 * @returns For `createScheduler`
 */
export function timmSchedule(create: CreateFor<TimmScheduler>): CreateScheduler {
  return (optimizer, config) => new TimmAdapter(create(optimizer, config), config);
}

/**
 * Uses a scheduler that counts epochs, such as `optim.StepLR`: it is stepped after the last optimizer step of each epoch.
 *
 * @param create Makes it
 * @returns For `createScheduler`
 */
export function epochSchedule(create: CreateFor<Scheduler>): CreateScheduler {
  return (optimizer, config) => new EpochAdapter(create(optimizer, config), config);
}

/** Options of {@linkcode oneCycleSchedule}. */
export interface OneCycleScheduleOptions
  extends Omit<optim.OneCycleLROptions, "totalSteps" | "epochs" | "stepsPerEpoch" | "lastEpoch"> {
  /** Largest rate, for all groups or one each; the groups' own rates when left out. */
  readonly maxLr?: number | readonly number[];
}

/** `optim.OneCycleLR` over the whole run, for `createScheduler`. */
export function oneCycleSchedule(options: OneCycleScheduleOptions = {}): CreateScheduler {
  const { maxLr, ...rest } = options;
  return (optimizer, config) =>
    new optim.OneCycleLR(optimizer, maxLr ?? optimizer.paramGroups.map((g) => g.lr), {
      ...rest,
      totalSteps: totalSteps(config, "one cycle"),
    });
}
