/** Rates that fall in steps. */
import type { Optimizer } from "../optimizer.ts";
import { allow, isCount, LRScheduler, passed, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@linkcode StepLR}, {@linkcode MultiStepLR}. */
export interface StepLROptions extends SchedulerOptions {
  /** Factor of each step; 0.1 by default. */
  readonly gamma?: number;
}

/** Multiplies the rate by `gamma` every `stepSize` epochs. */
export class StepLR extends LRScheduler<{ step_size: number; gamma: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param stepSize Epochs of one step
   * @param options `gamma` (0.1 by default), where to go on
   * @throws {RangeError} When `stepSize` is no whole number above 0
   */
  constructor(optimizer: Optimizer, stepSize: number, options: StepLROptions = {}) {
    allow(isCount(stepSize), "stepSize", stepSize, "a whole number above 0");
    super(optimizer, { step_size: stepSize, gamma: options.gamma ?? 0.1 }, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { step_size, gamma } = this.fields, lrs = this.currentLrs();
    return this.lastEpoch === 0 || this.lastEpoch % step_size !== 0
      ? lrs
      : lrs.map((lr) => lr * gamma);
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    const { step_size, gamma } = this.fields;
    return this.baseLrs.map((lr) => lr * gamma ** Math.floor(this.lastEpoch / step_size));
  }
}

/** Multiplies the rate by `gamma` at each milestone. */
export class MultiStepLR extends LRScheduler<{ milestones: number[]; gamma: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param milestones Epochs; one that comes twice counts twice
   * @param options `gamma` (0.1 by default), where to go on
   */
  constructor(optimizer: Optimizer, milestones: Iterable<number>, options: StepLROptions = {}) {
    const sorted = [...milestones].sort((a, b) => a - b);
    super(optimizer, { milestones: sorted, gamma: options.gamma ?? 0.1 }, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { milestones, gamma } = this.fields;
    const times = milestones.filter((m) => m === this.lastEpoch).length;
    return this.currentLrs().map((lr) => times === 0 ? lr : lr * gamma ** times);
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    const { milestones, gamma } = this.fields;
    return this.baseLrs.map((lr) => lr * gamma ** passed(milestones, this.lastEpoch));
  }
}
