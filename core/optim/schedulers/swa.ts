/** The rate of stochastic weight averaging. */
import type { Optimizer } from "../optimizer.ts";
import { allow, LRScheduler, perGroup, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@linkcode SWALR}. */
export interface SWALROptions extends SchedulerOptions {
  /** Epochs until the rate is reached; 10 by default. */
  readonly annealEpochs?: number;
  /** Along a cosine, the default, or a straight line. */
  readonly annealStrategy?: "cos" | "linear";
}

/** What {@linkcode SWALR} is made of. */
export interface SWAFields {
  /** Rate of each group to reach. */
  swa_lrs: number[];
  /** Epochs until it is reached. */
  anneal_epochs: number;
  /** Along a cosine or a straight line. */
  _anneal_strategy: "cos" | "linear";
}

const shares: Readonly<Record<"cos" | "linear", (t: number) => number>> = {
  cos: (t) => (1 - Math.cos(Math.PI * t)) / 2,
  linear: (t) => t,
};

/** Anneals the present rate to a constant one, with which weights are averaged (Izmailov et al., arXiv:1803.05407). */
export class SWALR extends LRScheduler<SWAFields> {
  /**
   * Sets the first rates.
   * @param optimizer The optimizer
   * @param swaLr Rate to reach, for all groups or one each
   * @param options `annealEpochs` (10), `annealStrategy` (cos), where to go on
   * @throws {RangeError} When an option is out of range
   */
  constructor(
    optimizer: Optimizer,
    swaLr: number | readonly number[],
    options: SWALROptions = {},
  ) {
    const { annealEpochs = 10, annealStrategy = "cos" } = options;
    const isValid = Number.isInteger(annealEpochs) && annealEpochs >= 0;
    allow(isValid, "annealEpochs", annealEpochs, "a whole number from 0");
    allow(annealStrategy in shares, "annealStrategy", annealStrategy, "cos or linear");
    super(optimizer, {
      swa_lrs: perGroup("swaLr", optimizer, swaLr),
      anneal_epochs: annealEpochs,
      _anneal_strategy: annealStrategy,
    }, options.lastEpoch);
  }

  /** Rates of this epoch: the present ones say where the annealing started. */
  override getLr(): number[] {
    const { swa_lrs, anneal_epochs: epochs, _anneal_strategy } = this.fields;
    const step = epochs === 0 ? Math.max(1, this.stepCount - 1) : this.stepCount - 1;
    const share = (n: number) =>
      shares[_anneal_strategy](Math.max(0, Math.min(1, n / Math.max(1, epochs))));
    const before = share(step - 1), now = share(step);
    return this.currentLrs().map((lr, i) => {
      const goal = swa_lrs[i], first = before === 1 ? goal : (lr - before * goal) / (1 - before);
      return goal * now + first * (1 - now);
    });
  }
}
