/** Rates that go up and down. */
import type { Optimizer } from "../optimizer.ts";
import {
  type MomentumFields,
  momentumFields,
  type MomentumOptions,
  setMomenta,
} from "./momentum.ts";
import { allow, LRScheduler, perGroup, type SchedulerOptions } from "./scheduler.ts";

/** How the height of a cycle changes: not at all, halved each cycle, times `gamma` each step. */
export type CyclicMode = "triangular" | "triangular2" | "exp_range";

/** Options of {@linkcode CyclicLR}. */
export interface CyclicLROptions extends SchedulerOptions, MomentumOptions {
  /** Steps from the least rate to the largest; 2000 by default. */
  readonly stepSizeUp?: number;
  /** Steps back; as many as up by default. */
  readonly stepSizeDown?: number;
  /** How the height changes; `"triangular"` by default. */
  readonly mode?: CyclicMode;
  /** Factor of the mode `"exp_range"`; 1 by default. */
  readonly gamma?: number;
  /** Factor of the height, instead of a mode. Not part of the state. */
  readonly scaleFn?: (x: number) => number;
  /** Whether `scaleFn` takes the number of the cycle from 1, or of the step; `"cycle"` by default. */
  readonly scaleMode?: "cycle" | "iterations";
}

/** What {@linkcode CyclicLR} is made of. */
export interface CyclicFields extends MomentumFields {
  /** Largest rate of each group. */
  max_lrs: number[];
  /** Steps of one cycle. */
  total_size: number;
  /** Share of them in which the rate goes up. */
  step_ratio: number;
  /** How the height changes. */
  mode: CyclicMode;
  /** Factor of the mode `"exp_range"`. */
  gamma: number;
  /** What the factor of the height is a function of. */
  scale_mode: "cycle" | "iterations";
  /** One's own factor of the height. */
  scale_fn?: (x: number) => number;
}

const scales: Readonly<
  Record<CyclicMode, readonly ["cycle" | "iterations", (x: number, gamma: number) => number]>
> = {
  triangular: ["cycle", () => 1],
  triangular2: ["cycle", (x) => 1 / 2 ** (x - 1)],
  exp_range: ["iterations", (x, gamma) => gamma ** x],
};

/** Rates between two bounds, up and down in straight lines, with momenta the other way round (Smith, arXiv:1506.01186). Steps are batches. */
export class CyclicLR extends LRScheduler<CyclicFields> {
  /**
   * Sets the first rates and momenta.
   * @param optimizer The optimizer
   * @param baseLr Least rate, for all groups or one each
   * @param maxLr Largest rate, for all groups or one each
   * @param options Lengths, mode, momenta (from 0.8 to 0.9 by default)
   * @throws {RangeError} When an option is out of range, or momenta are cycled that the optimizer does not have
   */
  constructor(
    optimizer: Optimizer,
    baseLr: number | readonly number[],
    maxLr: number | readonly number[],
    options: CyclicLROptions = {},
  ) {
    const { stepSizeUp = 2000, stepSizeDown = stepSizeUp, mode = "triangular", gamma = 1 } =
      options;
    const { scaleFn, lastEpoch = -1 } = options;
    allow(stepSizeUp > 0, "stepSizeUp", stepSizeUp, "above 0");
    allow(stepSizeDown > 0, "stepSizeDown", stepSizeDown, "above 0");
    allow(mode in scales, "mode", mode, `one of ${Object.keys(scales).join(", ")}`);
    const bases = perGroup("baseLr", optimizer, baseLr);
    const max_lrs = perGroup("maxLr", optimizer, maxLr), total_size = stepSizeUp + stepSizeDown;
    const momenta = momentumFields(optimizer, options, [0.8, 0.9], lastEpoch === -1);
    if (lastEpoch === -1) optimizer.paramGroups.forEach((group, i) => group.lr = bases[i]);
    super(optimizer, {
      ...momenta,
      max_lrs,
      total_size,
      step_ratio: stepSizeUp / total_size,
      mode,
      gamma,
      scale_mode: scaleFn === undefined ? scales[mode][0] : options.scaleMode ?? "cycle",
      ...(scaleFn !== undefined && { scale_fn: scaleFn }),
    }, lastEpoch);
    this.baseLrs = bases;
  }

  /** Rates of this step; sets the momenta. */
  override getLr(): number[] {
    const { fields, lastEpoch } = this, { total_size, step_ratio, mode, gamma } = fields;
    const cycle = Math.floor(1 + lastEpoch / total_size), x = 1 + lastEpoch / total_size - cycle;
    const height = x <= step_ratio ? x / step_ratio : (x - 1) / (step_ratio - 1);
    const at = fields.scale_mode === "cycle" ? cycle : lastEpoch;
    const scale = fields.scale_fn?.(at) ?? scales[mode][1](at, gamma);
    if (fields.cycle_momentum) {
      const momenta = fields.max_momentums.map((max, i) =>
        max - (max - fields.base_momentums[i]) * height * scale
      );
      setMomenta(this.optimizer, momenta, fields.use_beta1);
    }
    return this.baseLrs.map((lr, i) => lr + (fields.max_lrs[i] - lr) * height * scale);
  }
}
