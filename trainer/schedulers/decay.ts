/** Falls by a power of the step. */
import type { optim } from "@pta/core";
import type { CreateScheduler } from "../options.ts";
import { StatelessScheduler } from "./base.ts";
import { type CosineShape, warmUpValue } from "./cosine.ts";
import { checkLengths, levelOf, type Span, stepsOf, totalSteps } from "./span.ts";

/** Levels of the schedules here. */
export type DecayShape = Omit<CosineShape, "kDecay">;

/** Options of {@linkcode InverseSqrtScheduler}, in optimizer steps. */
export interface InverseSqrtSchedulerOptions extends DecayShape {
  /** Steps of the linear warm-up; 0 by default. */
  readonly warmUpSteps?: number;
  /** Steps s of the scale: after the warm-up and 3 s more steps the value has halved; `warmUpSteps`, or 1 without, by default. */
  readonly timescale?: number;
  /** Steps of the straight line to `min` at the end; 0 by default, and then no `totalSteps` are needed. */
  readonly cooldownSteps?: number;
  /** Steps of the whole schedule. */
  readonly totalSteps?: number;
}

/**
 * A linear warm-up of w steps, then `base sqrt(s / (s + t - w))` at step t with timescale s, which for s = w is `base sqrt(w / t)` (Vaswani et al.,
 * arXiv:1706.03762), and at the end, where asked, a straight line to `min` (Zhai et al., arXiv:2106.04560).
 */
export class InverseSqrtScheduler extends StatelessScheduler<InverseSqrtSchedulerOptions> {
  /**
   * Sets the first values.
   * @param optimizer The optimizer
   * @param options Lengths in steps, levels, field
   * @throws {RangeError} When lengths do not fit
   */
  constructor(optimizer: optim.Optimizer, options: InverseSqrtSchedulerOptions = {}) {
    const { warmUpSteps = 0, cooldownSteps = 0, totalSteps, timescale = warmUpSteps || 1 } =
      options;
    if (cooldownSteps > 0 && totalSteps === undefined) {
      throw new RangeError("Cannot schedule cooldownSteps without totalSteps");
    }
    if (!(timescale > 0)) {
      throw new RangeError(`Cannot schedule with timescale ${timescale}: it must be above 0`);
    }
    checkLengths(totalSteps ?? warmUpSteps + 1, { warmUpSteps, cooldownSteps });
    super(optimizer, options, options);
  }

  /** The value of a step. */
  override valueAt(step: number, base: number): number {
    const { warmUpSteps: w = 0, cooldownSteps = 0, totalSteps = Infinity } = this.fields;
    if (step < w) return warmUpValue(step, w, base, this.fields);
    const scale = this.fields.timescale ?? (w || 1);
    const falling = (t: number) => base * Math.sqrt(scale / (scale + t - w));
    const cooldown = totalSteps - cooldownSteps;
    if (cooldownSteps === 0 || step < cooldown) return falling(step);
    const min = levelOf(base, this.fields.min ?? 1e-6, this.fields.minRatio);
    const share = Math.min(1, (step - cooldown) / cooldownSteps), from = falling(cooldown);
    return from + (min - from) * share;
  }
}

/** Options of {@linkcode PolynomialScheduler}, in optimizer steps. */
export interface PolynomialSchedulerOptions extends DecayShape {
  /** Steps of the whole schedule. */
  readonly totalSteps: number;
  /** Steps of the linear warm-up; 0 by default. */
  readonly warmUpSteps?: number;
  /** Steps at the end that stay at the least value; 0 by default. */
  readonly cooldownSteps?: number;
  /** The power; 1, a straight line, by default. */
  readonly power?: number;
}

/** A linear warm-up, then `min + (base - min) (1 - p)^power` with progress p from 0 to 1, then `min`. */
export class PolynomialScheduler extends StatelessScheduler<PolynomialSchedulerOptions> {
  /**
   * Sets the first values.
   * @param optimizer The optimizer
   * @param options Lengths in steps, levels, power, field
   * @throws {RangeError} When lengths do not fit or the power is not above 0
   */
  constructor(optimizer: optim.Optimizer, options: PolynomialSchedulerOptions) {
    const { totalSteps, warmUpSteps = 0, cooldownSteps = 0, power = 1 } = options;
    checkLengths(totalSteps, { warmUpSteps, cooldownSteps });
    if (!(power > 0)) {
      throw new RangeError(`Cannot schedule with power ${power}: it must be above 0`);
    }
    super(optimizer, options, options);
  }

  /** The value of a step. */
  override valueAt(step: number, base: number): number {
    const { totalSteps, warmUpSteps = 0, cooldownSteps = 0, power = 1 } = this.fields;
    if (step < warmUpSteps) return warmUpValue(step, warmUpSteps, base, this.fields);
    const min = levelOf(base, this.fields.min ?? 1e-6, this.fields.minRatio);
    const length = totalSteps - warmUpSteps - cooldownSteps;
    const progress = length === 0 ? 1 : Math.min(1, (step - warmUpSteps) / length);
    return min + (base - min) * (1 - progress) ** power;
  }
}

/** Options of {@linkcode inverseSqrtSchedule}. */
export interface InverseSqrtScheduleOptions extends DecayShape {
  /** Length of the linear warm-up; 0 by default. */
  readonly warmUp?: Span;
  /** Length of the scale; that of the warm-up by default. */
  readonly timescale?: Span;
  /** Length of the straight line to the least value at the end; 0 by default. */
  readonly cooldown?: Span;
}

/** An {@linkcode InverseSqrtScheduler} over the run, for `createScheduler`. */
export function inverseSqrtSchedule(options: InverseSqrtScheduleOptions = {}): CreateScheduler {
  const { warmUp = 0, cooldown = 0, timescale, ...shape } = options;
  return (optimizer, config) =>
    new InverseSqrtScheduler(optimizer, {
      ...shape,
      totalSteps: config.maxNumTrainSteps,
      warmUpSteps: stepsOf(warmUp, config, "the warm-up"),
      cooldownSteps: stepsOf(cooldown, config, "the cooldown"),
      ...(timescale === undefined
        ? {}
        : { timescale: stepsOf(timescale, config, "the timescale") }),
    });
}

/** Options of {@linkcode polynomialSchedule}. */
export interface PolynomialScheduleOptions extends DecayShape {
  /** Length of the linear warm-up; 0 by default. */
  readonly warmUp?: Span;
  /** Length of the end that stays at the least value; 0 by default. */
  readonly cooldown?: Span;
  /** The power; 1, a straight line, by default. */
  readonly power?: number;
}

/** A {@linkcode PolynomialScheduler} over the whole run, for `createScheduler`. */
export function polynomialSchedule(options: PolynomialScheduleOptions = {}): CreateScheduler {
  const { warmUp = 0, cooldown = 0, ...shape } = options;
  return (optimizer, config) =>
    new PolynomialScheduler(optimizer, {
      ...shape,
      totalSteps: totalSteps(config, "a polynomial"),
      warmUpSteps: stepsOf(warmUp, config, "the warm-up"),
      cooldownSteps: stepsOf(cooldown, config, "the cooldown"),
    });
}
