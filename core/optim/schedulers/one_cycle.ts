/** One cycle of the rate over the whole training. */
import type { Optimizer } from "../optimizer.ts";
import {
  type MomentumFields,
  momentumFields,
  type MomentumOptions,
  setMomenta,
} from "./momentum.ts";
import { allow, isCount, LRScheduler, perGroup, type SchedulerOptions } from "./scheduler.ts";

/** Options of {@linkcode OneCycleLR}. */
export interface OneCycleLROptions extends SchedulerOptions, MomentumOptions {
  /** Steps of the cycle; or give `epochs` and `stepsPerEpoch`. */
  readonly totalSteps?: number;
  /** Epochs of the training. */
  readonly epochs?: number;
  /** Steps of one epoch. */
  readonly stepsPerEpoch?: number;
  /** Share of the steps in which the rate goes up; 0.3 by default. */
  readonly pctStart?: number;
  /** Along a cosine, the default, or a straight line. */
  readonly annealStrategy?: "cos" | "linear";
  /** The first rate is `maxLr / divFactor`; 25 by default. */
  readonly divFactor?: number;
  /** The last rate is the first divided by this; 1e4 by default. */
  readonly finalDivFactor?: number;
  /** Whether the rate first comes down as it went up, and then falls to the last rate; false by default. */
  readonly threePhase?: boolean;
}

/** A rate that a phase starts from or ends at. */
export type OneCycleLevel = "initial_lr" | "max_lr" | "min_lr";
/** A momentum that a phase starts from or ends at. */
export type OneCycleMomentum = "base_momentum" | "max_momentum";

/** One stretch of the cycle. */
export interface OneCyclePhase {
  /** Step at which it is over. */
  readonly end_step: number;
  /** First rate. */
  readonly start_lr: OneCycleLevel;
  /** Last rate. */
  readonly end_lr: OneCycleLevel;
  /** First momentum. */
  readonly start_momentum: OneCycleMomentum;
  /** Last momentum. */
  readonly end_momentum: OneCycleMomentum;
}

/** What {@linkcode OneCycleLR} is made of. */
export interface OneCycleFields extends MomentumFields {
  /** Steps of the cycle. */
  total_steps: number;
  /** Its stretches. */
  _schedule_phases: OneCyclePhase[];
  /** Along a cosine or a straight line. */
  _anneal_func_type: "cos" | "linear";
  /** Largest rate of each group. */
  max_lrs: number[];
  /** Last rate of each group. */
  min_lrs: number[];
}

const anneals: Readonly<Record<"cos" | "linear", (a: number, b: number, share: number) => number>> =
  {
    cos: (a, b, share) => b + (a - b) / 2 * (Math.cos(Math.PI * share) + 1),
    linear: (a, b, share) => (b - a) * share + a,
  };

function phases(steps: number, share: number, three: boolean): OneCyclePhase[] {
  const phase = (
    end_step: number,
    [start_lr, end_lr]: [OneCycleLevel, OneCycleLevel],
    [start_momentum, end_momentum]: [OneCycleMomentum, OneCycleMomentum],
  ): OneCyclePhase => ({ end_step, start_lr, end_lr, start_momentum, end_momentum });
  const up = phase(share * steps - 1, ["initial_lr", "max_lr"], ["max_momentum", "base_momentum"]);
  if (!three) {
    return [up, phase(steps - 1, ["max_lr", "min_lr"], ["base_momentum", "max_momentum"])];
  }
  const back = 2 * share * steps - 2;
  return [
    up,
    phase(back, ["max_lr", "initial_lr"], ["base_momentum", "max_momentum"]),
    phase(steps - 1, ["initial_lr", "min_lr"], ["max_momentum", "max_momentum"]),
  ];
}

/** Up from a small rate to `maxLr` and down to almost nothing, with momenta the other way round (Smith and Topin, arXiv:1708.07120). Steps are batches. */
export class OneCycleLR extends LRScheduler<OneCycleFields> {
  /**
   * Sets the first rates and momenta.
   * @param optimizer The optimizer
   * @param maxLr Largest rate, for all groups or one each
   * @param options The number of steps, shape, momenta (from 0.85 to 0.95 by default)
   * @throws {RangeError} When an option is out of range, or momenta are cycled that the optimizer does not have
   */
  constructor(
    optimizer: Optimizer,
    maxLr: number | readonly number[],
    options: OneCycleLROptions,
  ) {
    const { epochs, stepsPerEpoch, pctStart = 0.3, annealStrategy = "cos" } = options;
    const { divFactor = 25, finalDivFactor = 1e4, threePhase = false, lastEpoch = -1 } = options;
    const given = epochs === undefined || stepsPerEpoch === undefined
      ? undefined
      : epochs * stepsPerEpoch;
    const steps = options.totalSteps ?? given;
    if (steps === undefined) {
      throw new RangeError(
        "Cannot schedule one cycle without totalSteps, or epochs and stepsPerEpoch",
      );
    }
    allow(isCount(steps), "totalSteps", steps, "a whole number above 0");
    allow(pctStart >= 0 && pctStart <= 1, "pctStart", pctStart, "from 0 to 1");
    allow(annealStrategy in anneals, "annealStrategy", annealStrategy, "cos or linear");
    const max_lrs = perGroup("maxLr", optimizer, maxLr);
    const firsts = max_lrs.map((lr) => lr / divFactor);
    const momenta = momentumFields(optimizer, options, [0.85, 0.95], lastEpoch === -1);
    if (lastEpoch === -1) {
      optimizer.paramGroups.forEach((group, i) => group.initialLr = firsts[i]);
    }
    super(optimizer, {
      ...momenta,
      total_steps: steps,
      _schedule_phases: phases(steps, pctStart, threePhase),
      _anneal_func_type: annealStrategy,
      max_lrs,
      min_lrs: firsts.map((lr) => lr / finalDivFactor),
    }, lastEpoch);
  }

  /**
   * Rates of this step; sets the momenta.
   *
   * @throws {RangeError} When the cycle is over
   */
  override getLr(): number[] {
    const { fields, lastEpoch: step } = this;
    if (step > fields.total_steps) {
      throw new RangeError(
        `Cannot take step ${step} of one cycle: it has ${fields.total_steps} steps`,
      );
    }
    const all = fields._schedule_phases, found = all.findIndex((p) => step <= p.end_step);
    const index = found < 0 ? all.length - 1 : found, phase = all[index];
    const start = index === 0 ? 0 : all[index - 1].end_step;
    const share = (step - start) / (phase.end_step - start);
    const anneal = anneals[fields._anneal_func_type];
    if (fields.cycle_momentum) {
      const levels = { base_momentum: fields.base_momentums, max_momentum: fields.max_momentums };
      const [a, b] = [levels[phase.start_momentum], levels[phase.end_momentum]];
      setMomenta(this.optimizer, a.map((m, i) => anneal(m, b[i], share)), fields.use_beta1);
    }
    const rates = { initial_lr: this.baseLrs, max_lr: fields.max_lrs, min_lr: fields.min_lrs };
    const [a, b] = [rates[phase.start_lr], rates[phase.end_lr]];
    return a.map((lr, i) => anneal(lr, b[i], share));
  }
}
