/** Rates that fall when a metric stops getting better. */
import type { Optimizer } from "../optimizer.ts";
import { allow, LRScheduler, perGroup } from "./scheduler.ts";

/** Options of {@linkcode ReduceLROnPlateau}. */
export interface ReduceLROnPlateauOptions {
  /** Whether less or more is better; `"min"` by default. */
  readonly mode?: "min" | "max";
  /** Factor of the rate, below 1; 0.1 by default. */
  readonly factor?: number;
  /** Epochs without improvement that are borne; 10 by default. */
  readonly patience?: number;
  /** Change that counts as an improvement; 1e-4 by default. */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value, or a difference; `"rel"` by default. */
  readonly thresholdMode?: "rel" | "abs";
  /** Epochs after a reduction in which none is counted; 0 by default. */
  readonly cooldown?: number;
  /** Least rate, for all groups or one each; 0 by default. */
  readonly minLr?: number | readonly number[];
  /** Smaller changes of the rate are left undone; 1e-8 by default. */
  readonly eps?: number;
}

/** What {@linkcode ReduceLROnPlateau} is made of, and remembers. */
export interface PlateauFields {
  /** Whether less or more is better. */
  mode: "min" | "max";
  /** Factor of the rate. */
  factor: number;
  /** Epochs without improvement that are borne. */
  patience: number;
  /** Change that counts as an improvement. */
  threshold: number;
  /** Whether the threshold is a share or a difference. */
  threshold_mode: "rel" | "abs";
  /** Epochs after a reduction in which none is counted. */
  cooldown: number;
  /** Least rate of each group. */
  min_lrs: number[];
  /** Smaller changes of the rate are left undone. */
  eps: number;
  /** Best metric; null until one has been seen, since JSON knows no infinity. */
  best: number | null;
  /** Epochs of the cooldown that are left. */
  cooldown_counter: number;
  /** Epochs since the last improvement. */
  num_bad_epochs: number;
}

/** Multiplies the rate by `factor` when a metric has not got better for more than `patience` epochs. */
export class ReduceLROnPlateau extends LRScheduler<PlateauFields> {
  /**
   * Makes the scheduler; rates stay as they are.
   * @param optimizer The optimizer
   * @param options Mode, factor, patience and so on
   * @throws {RangeError} When an option is out of range
   */
  constructor(optimizer: Optimizer, options: ReduceLROnPlateauOptions = {}) {
    const { mode = "min", factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0 } = options;
    const { thresholdMode: threshold_mode = "rel", minLr = 0, eps = 1e-8 } = options;
    allow(factor < 1, "factor", factor, "below 1");
    allow(mode === "min" || mode === "max", "mode", mode, "min or max");
    const isKnown = threshold_mode === "rel" || threshold_mode === "abs";
    allow(isKnown, "thresholdMode", threshold_mode, "rel or abs");
    const min_lrs = perGroup("minLr", optimizer, minLr);
    super(optimizer, {
      mode,
      factor,
      patience,
      threshold,
      threshold_mode,
      cooldown,
      min_lrs,
      eps,
      best: null,
      cooldown_counter: 0,
      num_bad_epochs: 0,
    }, null);
    this.rememberLrs();
  }

  /** The present rates. */
  override getLr(): number[] {
    return this.currentLrs();
  }

  /** Whether a reduction has just been made. */
  get inCooldown(): boolean {
    return this.fields.cooldown_counter > 0;
  }

  /**
   * Takes note of an epoch's metric.
   *
   * @param metric The value, on the host
   * @throws {TypeError} When it is no number
   */
  override step(metric?: number): void {
    if (typeof metric !== "number") {
      throw new TypeError(
        `Cannot step ReduceLROnPlateau with ${metric}: it takes the metric of the epoch`,
      );
    }
    const { fields } = this;
    this.lastEpoch++;
    this.stepCount++;
    if (this.#isBetter(metric)) {
      fields.best = metric;
      fields.num_bad_epochs = 0;
    } else fields.num_bad_epochs++;
    if (this.inCooldown) {
      fields.cooldown_counter--;
      fields.num_bad_epochs = 0;
    }
    if (fields.num_bad_epochs > fields.patience) {
      const reduced = this.currentLrs().map((lr, i) => {
        const next = Math.max(lr * fields.factor, fields.min_lrs[i] ?? 0);
        return lr - next > fields.eps ? next : lr;
      });
      this.setLrs(reduced);
      fields.cooldown_counter = fields.cooldown;
      fields.num_bad_epochs = 0;
    }
    this.rememberLrs();
  }

  #isBetter(metric: number): boolean {
    const { best, mode, threshold, threshold_mode } = this.fields;
    // The first metric is better than nothing, unless it is the worst there can be.
    if (best === null) return mode === "min" ? metric < Infinity : metric > -Infinity;
    const sign = mode === "min" ? -1 : 1;
    const bar = threshold_mode === "rel" ? best * (1 + sign * threshold) : best + sign * threshold;
    return mode === "min" ? metric < bar : metric > bar;
  }
}
