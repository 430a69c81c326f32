/** Warm-up, stable, decay: a schedule that can be cut at several places. */
import type { optim } from "@pta/core";
import type { CreateScheduler } from "../options.ts";
import { type FieldSchedulerOptions, StatelessScheduler } from "./base.ts";
import { warmUpValue } from "./cosine.ts";
import { checkLengths, type Span, stepsOf, totalSteps } from "./span.ts";

/** How the value falls before a checkpoint, from progress r above 0 to 1 and the floor's share m to a factor. */
export type WsdDecay = "sqrt" | "inverse" | "linear" | "cosine";

/** Levels and shape of a WSD schedule. */
export interface WsdShape extends FieldSchedulerOptions {
  /** Share of the steps up to a checkpoint in which the value falls to the floor, above 0 and at most 1; 0.1 by default. */
  readonly decayRatio?: number;
  /** How it falls; `sqrt` by default. */
  readonly decay?: WsdDecay;
  /** The floor as a share of what the group starts from; 1e-6 by default. */
  readonly minRatio?: number;
  /** Value of the first step when there is a warm-up; 1e-6 by default. */
  readonly warmUpStart?: number;
  /** The same as a share of what the group starts from; wins over `warmUpStart`. */
  readonly warmUpStartRatio?: number;
  /** Number of checkpoints, each after twice as many steps as the one before, the last at the end; 1 by default. */
  readonly numCheckpoints?: number;
}

/** Options of {@linkcode WsdScheduler}, in optimizer steps. */
export interface WsdSchedulerOptions extends WsdShape {
  /** Steps of the whole schedule. */
  readonly totalSteps: number;
  /** Steps of the linear warm-up; 0 by default. */
  readonly warmUpSteps?: number;
}

/** One stretch of stable and falling values. */
export interface WsdPeriod {
  /** Its first step. */
  readonly start: number;
  /** The first step of the decay; training states of the stable phase are taken before it. */
  readonly decayStart: number;
  /** The number of steps after which the floor has been reached and used; finished models are taken then. */
  readonly end: number;
}

/** Where a step stands. */
export interface WsdPhase {
  /** `done` after the last step. */
  readonly phase: "warmUp" | "stable" | "decay" | "done";
  /** Index of the period. */
  readonly period: number;
  /** Share of the decay that is over once the step is taken; 0 outside. */
  readonly decayProgress: number;
}

const factors: Readonly<Record<WsdDecay, (r: number, m: number) => number>> = {
  // Hägele et al., arXiv:2405.18392.
  sqrt: (r, m) => m + (1 - m) * (1 - Math.sqrt(r)),
  // Wen et al., arXiv:2410.05192.
  inverse: (r, m) => 1 / (r / m + 1 - r),
  linear: (r, m) => m + (1 - m) * (1 - r),
  cosine: (r, m) => m + (1 - m) * (1 + Math.cos(Math.PI * r)) / 2,
};

/**
 * Steps after which checkpoints are due: the last at the end, each other after half as many.
 *
 * @param totalSteps Steps of the run
 * @param numCheckpoints How many
 */
export function wsdCheckpointSteps(totalSteps: number, numCheckpoints = 1): number[] {
  return Array.from(
    { length: numCheckpoints },
    (_, i) => Math.round(totalSteps / 2 ** (numCheckpoints - 1 - i)),
  );
}

/**
 * A linear warm-up, a constant value, and before each checkpoint a decay to the floor, which its last step uses; after a checkpoint that is not the last
 * the value is the full one again (WSD: Hu et al., arXiv:2404.06395; going on from decayed weights: Wen et al., arXiv:2410.05192).
 */
export class WsdScheduler extends StatelessScheduler<
  WsdSchedulerOptions & { periods: readonly WsdPeriod[] }
> {
  /**
   * Sets the first values.
   * @param optimizer The optimizer
   * @param options Lengths in steps, levels, shape, field
   * @throws {RangeError} When lengths or shares do not fit, or a decay would reach into the warm-up or the period before
   */
  constructor(optimizer: optim.Optimizer, options: WsdSchedulerOptions) {
    const { totalSteps, warmUpSteps = 0, decayRatio = 0.1, numCheckpoints = 1 } = options;
    const { minRatio = 1e-6, decay = "sqrt" } = options;
    checkLengths(totalSteps, { warmUpSteps });
    if (!(decayRatio > 0 && decayRatio <= 1)) {
      throw new RangeError(
        `Cannot schedule with decayRatio ${decayRatio}: it must be above 0 and at most 1`,
      );
    }
    if (!Number.isSafeInteger(numCheckpoints) || numCheckpoints < 1) {
      throw new RangeError(
        `Cannot schedule ${numCheckpoints} checkpoints: it must be a whole number of at least 1`,
      );
    }
    if (!(minRatio > 0 && minRatio <= 1) && !(minRatio === 0 && decay !== "inverse")) {
      throw new RangeError(
        `Cannot schedule with minRatio ${minRatio}: it must be from 0 to 1, and above 0 for the inverse decay`,
      );
    }
    if (!(decay in factors)) {
      throw new RangeError(
        `Cannot schedule with decay ${decay}: it must be ${Object.keys(factors).join(", ")}`,
      );
    }
    const ends = wsdCheckpointSteps(totalSteps, numCheckpoints);
    const periods = ends.map((end, i): WsdPeriod => {
      const start = i === 0 ? 0 : ends[i - 1];
      const decayStart = end - Math.max(1, Math.round(decayRatio * end));
      const least = i === 0 ? warmUpSteps : start;
      if (decayStart >= least) return { start, decayStart, end };
      throw new RangeError(
        `Cannot schedule a decay of ${
          end - decayStart
        } steps before step ${end}: the warm-up or the period before ends at step ${least}`,
      );
    });
    super(optimizer, { ...options, periods }, options);
  }

  /** The periods, one a checkpoint. */
  get periods(): readonly WsdPeriod[] {
    return this.fields.periods;
  }

  /** Where the step after `numUpdates` steps stands; the present one when left out. */
  phaseAt(numUpdates: number = this.numUpdates): WsdPhase {
    const { periods, warmUpSteps = 0 } = this.fields;
    const period = periods.findIndex((p) => numUpdates < p.end);
    if (period < 0) return { phase: "done", period: periods.length - 1, decayProgress: 1 };
    const { decayStart, end } = periods[period];
    if (numUpdates >= decayStart) {
      const decayProgress = (numUpdates - decayStart + 1) / (end - decayStart);
      return { phase: "decay", period, decayProgress };
    }
    return { phase: numUpdates < warmUpSteps ? "warmUp" : "stable", period, decayProgress: 0 };
  }

  /** What is to be saved after `numUpdates` steps: a state to go on from, a finished model, or nothing. */
  checkpointAt(numUpdates: number = this.numUpdates): "preDecay" | "postDecay" | undefined {
    for (const { decayStart, end } of this.fields.periods) {
      if (numUpdates === end) return "postDecay";
      if (numUpdates === decayStart) return "preDecay";
    }
    return undefined;
  }

  /** The value of a step. */
  override valueAt(step: number, base: number): number {
    const { warmUpSteps = 0, minRatio = 1e-6, decay = "sqrt" } = this.fields;
    const { phase, decayProgress } = this.phaseAt(step);
    if (phase === "warmUp") return warmUpValue(step, warmUpSteps, base, this.fields);
    return phase === "stable" ? base : base * factors[decay](decayProgress, minRatio);
  }
}

/** Options of {@linkcode wsdSchedule}. */
export interface WsdScheduleOptions extends WsdShape {
  /** Length of the linear warm-up; a hundredth of the run by default. */
  readonly warmUp?: Span;
}

/** A {@linkcode WsdScheduler} over the whole run, for `createScheduler`. To go on with the stable phase of a finished run, give `warmUp: 0`. */
export function wsdSchedule(options: WsdScheduleOptions = {}): CreateScheduler {
  const { warmUp = { ratio: 0.01 }, ...shape } = options;
  return (optimizer, config) =>
    new WsdScheduler(optimizer, {
      ...shape,
      totalSteps: totalSteps(config, "WSD"),
      warmUpSteps: stepsOf(warmUp, config, "the warm-up"),
    });
}
