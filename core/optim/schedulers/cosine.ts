/** Rates that follow a cosine. */
import type { Optimizer } from "../optimizer.ts";
import { allow, isCount, LRScheduler, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@linkcode CosineAnnealingLR}. */
export interface CosineAnnealingLROptions extends SchedulerOptions {
  /** Least rate; 0 by default. */
  readonly etaMin?: number;
}

const { cos, PI } = Math;

/** Half a cosine from the first rate down to `etaMin` in `tMax` epochs, and back (Loshchilov and Hutter, arXiv:1608.03983, without restarts). */
export class CosineAnnealingLR extends LRScheduler<{ T_max: number; eta_min: number }> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param tMax Epochs from the first rate to the least
   * @param options `etaMin` (0), where to go on
   * @throws {RangeError} When `tMax` is not above 0
   */
  constructor(optimizer: Optimizer, tMax: number, options: CosineAnnealingLROptions = {}) {
    allow(tMax > 0, "tMax", tMax, "above 0");
    super(optimizer, { T_max: tMax, eta_min: options.etaMin ?? 0 }, options.lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { T_max: tMax, eta_min: min } = this.fields, epoch = this.lastEpoch;
    const lrs = this.currentLrs();
    if (this.isInitial) return lrs;
    if (this.stepCount === 1 && epoch > 0) return this.closedFormLr();
    if ((epoch - 1 - tMax) % (2 * tMax) === 0) {
      return lrs.map((lr, i) => lr + (this.baseLrs[i] - min) * (1 - cos(PI / tMax)) / 2);
    }
    const ratio = (1 + cos(PI * epoch / tMax)) / (1 + cos(PI * (epoch - 1) / tMax));
    return lrs.map((lr) => ratio * (lr - min) + min);
  }

  /** The same from the first rates. */
  protected override closedFormLr(): number[] {
    const { T_max: tMax, eta_min: min } = this.fields;
    return this.baseLrs.map((lr) => min + (lr - min) * (1 + cos(PI * this.lastEpoch / tMax)) / 2);
  }
}

/** Options of {@linkcode CosineAnnealingWarmRestarts}. */
export interface CosineAnnealingWarmRestartsOptions extends CosineAnnealingLROptions {
  /** Factor of the period at each restart; 1 by default. */
  readonly tMult?: number;
}

/** What {@linkcode CosineAnnealingWarmRestarts} is made of. */
export interface RestartFields {
  /** Epochs of the first period. */
  T_0: number;
  /** Epochs of the present period. */
  T_i: number;
  /** Factor of the period at each restart. */
  T_mult: number;
  /** Least rate. */
  eta_min: number;
  /** Epochs since the last restart. */
  T_cur: number;
}

/** Half a cosine from the first rate to `etaMin`, again and again, each period `tMult` times the one before (SGDR, arXiv:1608.03983). */
export class CosineAnnealingWarmRestarts extends LRScheduler<
  { T_0: number; T_i: number; T_mult: number; eta_min: number; T_cur: number }
> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param t0 Epochs of the first period
   * @param options `tMult` (1), `etaMin` (0), where to go on
   * @throws {RangeError} When `t0` or `tMult` is no whole number above 0
   */
  constructor(optimizer: Optimizer, t0: number, options: CosineAnnealingWarmRestartsOptions = {}) {
    const { tMult = 1, etaMin = 0, lastEpoch = -1 } = options;
    allow(isCount(t0), "t0", t0, "a whole number above 0");
    allow(isCount(tMult), "tMult", tMult, "a whole number above 0");
    const fields = { T_0: t0, T_i: t0, T_mult: tMult, eta_min: etaMin, T_cur: lastEpoch };
    super(optimizer, fields, lastEpoch);
  }

  /** Rates of this epoch. */
  override getLr(): number[] {
    const { T_cur: current, T_i: period, eta_min: min } = this.fields;
    return this.baseLrs.map((lr) => min + (lr - min) * (1 + cos(PI * current / period)) / 2);
  }

  /**
   * Goes to the next epoch, or to a given one, whole or not: `epoch + batch / batches` steps within an epoch.
   *
   * @throws {RangeError} When the epoch is negative
   */
  override step(epoch?: number): void {
    const { fields } = this, at = epoch ?? (this.lastEpoch < 0 ? 0 : undefined);
    if (at === undefined) {
      fields.T_cur++;
      if (fields.T_cur >= fields.T_i) {
        fields.T_cur %= fields.T_i;
        fields.T_i *= fields.T_mult;
      }
      this.lastEpoch = Math.floor(this.lastEpoch + 1);
    } else {
      allow(at >= 0, "epoch", at, "at least 0");
      seek(fields, at);
      this.lastEpoch = Math.floor(at);
    }
    this.setLrs(this.getLr());
  }
}

/** Finds the period that an epoch lies in. A function, since constructors step before private methods are there. */
function seek(fields: RestartFields, epoch: number): void {
  const { T_0: first, T_mult: factor } = fields;
  if (epoch < first) {
    fields.T_i = first;
    fields.T_cur = epoch;
  } else if (factor === 1) fields.T_cur = epoch % first;
  else {
    const n = Math.trunc(Math.log(epoch / first * (factor - 1) + 1) / Math.log(factor));
    fields.T_cur = epoch - first * (factor ** n - 1) / (factor - 1);
    fields.T_i = first * factor ** n;
  }
}
