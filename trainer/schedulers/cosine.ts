/** Half a cosine with a linear start and a constant end. */
import type { optim } from "@pta/core";
import type { CreateScheduler } from "../options.ts";
import { type FieldSchedulerOptions, StatelessScheduler } from "./base.ts";
import { checkLengths, levelOf, type Span, stepsOf, totalSteps } from "./span.ts";

/** The levels and the shape of a cosine schedule. */
export interface CosineShape extends FieldSchedulerOptions {
  /** Value at the end; 1e-6 by default. */
  readonly min?: number;
  /** The same as a share of what the group starts from; wins over `min`. */
  readonly minRatio?: number;
  /** Value of the first step when there is a warm-up; 1e-6 by default. */
  readonly warmUpStart?: number;
  /** The same as a share of what the group starts from; wins over `warmUpStart`. */
  readonly warmUpStartRatio?: number;
  /** Exponent of the progress: above 1 the value stays high for longer; 1 by default (Zhang and Li, arXiv:2004.05909). */
  readonly kDecay?: number;
}

/** Options of {@linkcode CosineScheduler}, in optimizer steps. */
export interface CosineSchedulerOptions extends CosineShape {
  /** Steps of the whole schedule. */
  readonly totalSteps: number;
  /** Steps of the linear warm-up; 0 by default. */
  readonly warmUpSteps?: number;
  /** Steps at the end that stay at the least value; 0 by default. */
  readonly cooldownSteps?: number;
}

/** What a {@linkcode CosineScheduler} is made of. */
export type CosineFields = Required<
  Pick<CosineSchedulerOptions, "totalSteps" | "warmUpSteps" | "cooldownSteps">
>;

/**
 * A straight line from `warmUpStart` to the group's own value, then half a cosine to `min`, then `min`: with progress p from 0 to 1 between warm-up and
 * cooldown, `min + (base - min) (1 + cos(pi p^k)) / 2` (Loshchilov and Hutter, arXiv:1608.03983). The first step uses `warmUpStart`, the first after
 * the warm-up the full value, and `min` is reached when the cooldown begins.
 */
export class CosineScheduler extends StatelessScheduler<CosineFields & CosineShape> {
  /**
   * Sets the first values.
   * @param optimizer The optimizer
   * @param options Lengths in steps, levels, shape, field
   * @throws {RangeError} When lengths do not fit or the exponent is not above 0
   */
  constructor(optimizer: optim.Optimizer, options: CosineSchedulerOptions) {
    const { totalSteps, warmUpSteps = 0, cooldownSteps = 0, kDecay = 1 } = options;
    checkLengths(totalSteps, { warmUpSteps, cooldownSteps });
    if (!(kDecay > 0)) {
      throw new RangeError(`Cannot schedule with kDecay ${kDecay}: it must be above 0`);
    }
    super(optimizer, { ...options, warmUpSteps, cooldownSteps }, options);
  }

  /** The value of a step. */
  override valueAt(step: number, base: number): number {
    const { totalSteps, warmUpSteps, cooldownSteps, kDecay = 1 } = this.fields;
    const min = levelOf(base, this.fields.min ?? 1e-6, this.fields.minRatio);
    if (step < warmUpSteps) return warmUpValue(step, warmUpSteps, base, this.fields);
    const length = totalSteps - warmUpSteps - cooldownSteps;
    const progress = length === 0 ? 1 : Math.min(1, (step - warmUpSteps) / length);
    return min + (base - min) * (1 + Math.cos(Math.PI * progress ** kDecay)) / 2;
  }
}

/** A straight line from the start to the group's own value. */
export function warmUpValue(
  step: number,
  steps: number,
  base: number,
  shape: Pick<CosineShape, "warmUpStart" | "warmUpStartRatio">,
): number {
  const start = levelOf(base, shape.warmUpStart ?? 1e-6, shape.warmUpStartRatio);
  return start + (base - start) * step / steps;
}

/** Options of {@linkcode cosineSchedule}. */
export interface CosineScheduleOptions extends CosineShape {
  /** Length of the linear warm-up; 0 by default. */
  readonly warmUp?: Span;
  /** Length of the end that stays at the least value; 0 by default. */
  readonly cooldown?: Span;
}

/** A {@linkcode CosineScheduler} over the whole run, for `createScheduler`. */
export function cosineSchedule(options: CosineScheduleOptions = {}): CreateScheduler {
  const { warmUp = 0, cooldown = 0, ...shape } = options;
  return (optimizer, config) =>
    new CosineScheduler(optimizer, {
      ...shape,
      totalSteps: totalSteps(config, "a cosine"),
      warmUpSteps: stepsOf(warmUp, config, "the warm-up"),
      cooldownSteps: stepsOf(cooldown, config, "the cooldown"),
    });
}
