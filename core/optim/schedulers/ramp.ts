/** Rates that follow a simple curve: constant, linear, exponential, polynomial. */
import type { Optimizer } from "../optimizer.ts";
import { allow, LRScheduler, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@linkcode ConstantLR}. */
export interface ConstantLROptions extends SchedulerOptions {
  /** Factor of the rate, from 0 to 1; 1/3 by default. */
  readonly factor?: number;
  /** Epoch from which on the factor is gone; 5 by default. */
  readonly totalIters?: number;
}

/** The rate times `factor`, until `totalIters`. */
export class ConstantLR extends LRScheduler<{ factor: number; total_iters: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param options `factor` (1/3), `totalIters` (5), where to go on
   * @throws {RangeError} When the factor is not from 0 to 1
   */
  constructor(optimizer: Optimizer, options: ConstantLROptions = {}) {
    const { factor = 1 / 3, totalIters = 5 } = options;
    allow(factor >= 0 && factor <= 1, "factor", factor, "from 0 to 1");
    super(optimizer, { factor, total_iters: totalIters }, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { factor, total_iters } = this.fields, lrs = this.currentLrs();
    if (this.lastEpoch === 0) return lrs.map((lr) => lr * factor);
    return this.lastEpoch === total_iters ? lrs.map((lr) => lr * (1 / factor)) : lrs;
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    const { factor, total_iters } = this.fields;
    return this.baseLrs.map((lr) => this.lastEpoch >= total_iters ? lr : lr * factor);
  }
}

/** Options of {@linkcode LinearLR}. */
export interface LinearLROptions extends SchedulerOptions {
  /** First factor, above 0 up to 1; 1/3 by default. */
  readonly startFactor?: number;
  /** Last factor, from 0 to 1; 1 by default. */
  readonly endFactor?: number;
  /** Epochs from the first to the last; 5 by default. */
  readonly totalIters?: number;
}

/** The rate times a factor that goes from `startFactor` to `endFactor` in a straight line. */
export class LinearLR
  extends LRScheduler<{ start_factor: number; end_factor: number; total_iters: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param options `startFactor` (1/3), `endFactor` (1), `totalIters` (5), where to go on
   * @throws {RangeError} When a factor is out of range
   */
  constructor(optimizer: Optimizer, options: LinearLROptions = {}) {
    const { startFactor: start = 1 / 3, endFactor: end = 1, totalIters = 5 } = options;
    allow(start > 0 && start <= 1, "startFactor", start, "above 0 and at most 1");
    allow(end >= 0 && end <= 1, "endFactor", end, "from 0 to 1");
    const fields = { start_factor: start, end_factor: end, total_iters: totalIters };
    super(optimizer, fields, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { start_factor: start, end_factor: end, total_iters } = this.fields;
    const lrs = this.currentLrs(), epoch = this.lastEpoch;
    if (epoch === 0) return lrs.map((lr) => lr * start);
    if (this.isInitial || epoch > total_iters) return lrs;
    const growth = 1 + (end - start) / (total_iters * start + (epoch - 1) * (end - start));
    return lrs.map((lr) => lr * growth);
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    const { start_factor: start, end_factor: end, total_iters } = this.fields;
    const share = Math.min(total_iters, this.lastEpoch) / total_iters;
    return this.baseLrs.map((lr) => lr * (start + (end - start) * share));
  }
}

/** Multiplies the rate by `gamma` every epoch. */
export class ExponentialLR extends LRScheduler<{ gamma: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param gamma The factor
   * @param options Where to go on
   */
  constructor(optimizer: Optimizer, gamma: number, options: SchedulerOptions = {}) {
    super(optimizer, { gamma }, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    return this.isInitial
      ? this.currentLrs()
      : this.currentLrs().map((lr) => lr * this.fields.gamma);
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    return this.baseLrs.map((lr) => lr * this.fields.gamma ** this.lastEpoch);
  }
}

/** Options of {@linkcode PolynomialLR}. */
export interface PolynomialLROptions extends SchedulerOptions {
  /** Epochs until the rate is 0; 5 by default. */
  readonly totalIters?: number;
  /** The power; 1 by default. */
  readonly power?: number;
}

/** The first rate times `(1 - epoch / totalIters) ** power`. */
export class PolynomialLR extends LRScheduler<{ total_iters: number; power: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param options `totalIters` (5), `power` (1), where to go on
   */
  constructor(optimizer: Optimizer, options: PolynomialLROptions = {}) {
    const { totalIters = 5, power = 1 } = options;
    super(optimizer, { total_iters: totalIters, power }, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { total_iters: total, power } = this.fields, epoch = this.lastEpoch;
    if (this.isInitial || epoch > total) return this.currentLrs();
    const factor = ((1 - epoch / total) / (1 - (epoch - 1) / total)) ** power;
    return this.currentLrs().map((lr) => lr * factor);
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    const { total_iters: total, power } = this.fields;
    const left = 1 - Math.min(total, this.lastEpoch) / total;
    return this.baseLrs.map((lr) => lr * left ** power);
  }
}
