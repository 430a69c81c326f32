/** Schedulers made of schedulers. */
import type { Optimizer } from "../optimizer.ts";
import { ReduceLROnPlateau } from "./reduce_on_plateau.ts";
import { LRScheduler, passed, type SchedulerStateDict } from "./scheduler.ts";

function checkParts(name: string, schedulers: readonly LRScheduler[], optimizer: Optimizer): void {
  schedulers.forEach((s, i) => {
    if (s instanceof ReduceLROnPlateau) {
      throw new TypeError(`Cannot put ReduceLROnPlateau into ${name}: item ${i} needs a metric`);
    }
    if (s.optimizer !== optimizer) {
      throw new TypeError(
        `Cannot put item ${i}, ${s.constructor.name}, into ${name}: it belongs to another optimizer`,
      );
    }
  });
}

/** The first of some schedulers. */
function first(name: string, schedulers: readonly LRScheduler[]): LRScheduler {
  if (schedulers.length > 0) return schedulers[0];
  throw new TypeError(`Cannot make ${name} of no schedulers`);
}

/** What schedulers made of schedulers share. */
export abstract class CompositeScheduler<F extends object = object> extends LRScheduler<F> {
  /** The parts. */
  readonly schedulers: readonly LRScheduler[];

  /** Sets no rates. */
  constructor(optimizer: Optimizer, schedulers: readonly LRScheduler[], fields: F) {
    super(optimizer, fields, null);
    this.schedulers = schedulers;
  }

  /** The present rates. */
  override getLr(): number[] {
    return this.currentLrs();
  }

  /** Takes back the first step of each part. */
  override undo(): void {
    for (const s of this.schedulers) s.undo();
  }

  /** State with that of the parts. */
  override stateDict(): SchedulerStateDict {
    return { ...super.stateDict(), _schedulers: this.schedulers.map((s) => s.stateDict()) };
  }

  /**
   * Takes over a state, with that of the parts.
   *
   * @throws {TypeError} When the state is another scheduler's
   */
  override loadStateDict(state: SchedulerStateDict): void {
    const parts = state._schedulers as readonly SchedulerStateDict[] | undefined;
    if (parts?.length !== this.schedulers.length) {
      throw new TypeError(
        `Cannot load the state of ${this.constructor.name}: it has ${
          parts?.length ?? "no"
        } schedulers, and there are ${this.schedulers.length} here`,
      );
    }
    super.loadStateDict(state);
    this.schedulers.forEach((s, i) => s.loadStateDict(parts[i]));
  }
}

/** Steps all its schedulers each time; their factors multiply. */
export class ChainedScheduler extends CompositeScheduler {
  /**
   * Chains schedulers that have set their first rates already.
   * @param schedulers The schedulers, of one optimizer
   * @throws {TypeError} When there are none, one needs a metric, or optimizers differ
   */
  constructor(schedulers: readonly LRScheduler[]) {
    const { optimizer } = first("ChainedScheduler", schedulers);
    checkParts("ChainedScheduler", schedulers, optimizer);
    super(optimizer, [...schedulers], {});
    this.rememberLrs();
  }

  /** Goes to the next epoch, or to a given one. */
  override step(epoch?: number): void {
    this.stepCount++;
    for (const s of this.schedulers) s.step(epoch);
    this.rememberLrs();
  }

  /** As `step`, without counting it. */
  override updateLr(epoch?: number): void {
    for (const s of this.schedulers) s.updateLr(epoch);
    this.rememberLrs();
  }
}

/** One scheduler after the other; each counts its own epochs from 0. */
export class SequentialLR extends CompositeScheduler<{ _milestones: number[] }> {
  /**
   * Sets the first rates, those of the first scheduler.
   * @param optimizer The optimizer
   * @param schedulers The schedulers
   * @param milestones Epochs at which the next takes over, one fewer than schedulers
   * @throws {TypeError} When there are no schedulers, one needs a metric, or optimizers differ
   * @throws {RangeError} When the number of milestones does not fit
   */
  constructor(
    optimizer: Optimizer,
    schedulers: readonly LRScheduler[],
    milestones: readonly number[],
  ) {
    first("SequentialLR", schedulers);
    checkParts("SequentialLR", schedulers, optimizer);
    if (milestones.length !== schedulers.length - 1) {
      throw new RangeError(
        `Cannot put ${schedulers.length} schedulers in a row with ${milestones.length} milestones: it takes ${
          schedulers.length - 1
        }`,
      );
    }
    super(optimizer, [...schedulers], { _milestones: [...milestones] });
    this.lastEpoch = 0;
    // The schedulers have set first rates of their own: only the first may.
    for (const group of optimizer.paramGroups) group.lr = group.initialLr ?? group.lr;
    this.undo();
    this.schedulers[passed(milestones, 0)].initialStep();
    this.rememberLrs();
  }

  /** Goes to the next epoch. */
  override step(): void {
    this.stepCount++;
    this.updateLr();
  }

  /** As `step`, without counting it; or goes to a given epoch. */
  override updateLr(epoch?: number): void {
    const { _milestones: milestones } = this.fields;
    this.lastEpoch = epoch ?? this.lastEpoch + 1;
    const index = passed(milestones, this.lastEpoch), active = this.schedulers[index];
    const start = index === 0 ? 0 : milestones[index - 1];
    if (epoch !== undefined) active.updateLr(epoch - start);
    else if (index > 0 && start === this.lastEpoch) active.updateLr(0);
    else active.step();
    this.lastLr = active.getLastLr();
  }
}
