/** Adaptive steps whose memory is a row and a column instead of a matrix. */
import type { DType } from "../dtype.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor/mod.ts";
import { CountedOptimizer, decayFactor, type Scalars } from "./counted.ts";
import { notNegative, type OptionCheck, type ParamState, type StateForm } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";

/** Options of {@linkcode Adafactor}. */
export interface AdafactorOptions extends OptimizerOptions {
  /** Power of the step count that is the share of the newest square; at most 0, -0.8 by default. */
  readonly beta2Decay?: number;
  /** Least mean square (null: the spacing of the dtype at 1) and least size of a parameter; `[null, 1e-3]` by default. */
  readonly eps?: readonly [number | null, number];
  /** Root mean square that an update is scaled down to; at least 1, 1 by default. */
  readonly d?: number;
  /** Pull towards zero, apart from the gradient; 0 by default. */
  readonly weightDecay?: number;
}

const checks: Readonly<Record<string, OptionCheck>> = {
  beta2Decay: [(x: number) => x <= 0, "at most 0"],
  eps: [
    (x: readonly (number | null)[]) =>
      x.length === 2 && (x[0] === null || x[0] >= 0) && x[1] !== null && x[1] >= 0,
    "two numbers that are at least 0, or null and one",
  ],
  d: [(x: number) => x >= 1, "at least 1"],
  weightDecay: notNegative,
};

/** Spacing of numbers at 1. */
const spacing: Partial<Record<DType, number>> = {
  float64: 2 ** -52,
  float32: 2 ** -23,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
};

/** Shape with one dimension, counted from the end, of size 1. */
const flattened = (shape: Shape, fromEnd: number): number[] =>
  shape.map((s, i) => i === shape.length - fromEnd ? 1 : s);

const rootMeanSquare = (x: Tensor): Tensor => x.square().mean().sqrt();

/**
 * Adafactor (Shazeer and Stern, arXiv:1804.04235) in PyTorch's form: a matrix of mean squares is the product of its row and column means, steps
 * are relative to the size of the parameter, and weight decay is apart from the gradient. Takes a few kernels for each parameter, since its own
 * and its update's size come into the step.
 */
export class Adafactor extends CountedOptimizer<AdafactorOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (0.01 by default, an upper bound of the relative step), beta2Decay, eps, d, weight decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<AdafactorOptions>, options: Partial<AdafactorOptions> = {}) {
    const { lr = 1e-2, beta2Decay = -0.8, eps = [null, 1e-3], d = 1, weightDecay = 0 } = options;
    const { maximize = false } = options;
    super(params, { lr, beta2Decay, eps, d, weightDecay, maximize }, checks);
  }

  /** Relative step size, and the share of the newest square. */
  protected override scalars(group: ParamGroup<AdafactorOptions>, t: Tensor, lr: Tensor): Scalars {
    return {
      relative: lr.minimum(t.rsqrt()),
      fresh: t.pow(group.value("beta2Decay", "float64")),
      ...(!group.isZero("weightDecay") && { decay: decayFactor(group, lr) }),
    };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<AdafactorOptions>,
    state: ParamState,
    { relative, fresh, decay }: Scalars,
  ): Tensor[] {
    const { eps: [least, leastSize] } = group.options, eps = least ?? spacing[p.dtype]!;
    const g = this.gradientOf(p, group), squares = g.square(), changed: Tensor[] = [];
    /** The average remembered under a name, with one more value in it. */
    const next = (key: string, value: Tensor): Tensor => {
      const held = state[key] ??= this.newState(p, 0, value.shape);
      const average = held.add(value.sub(held).mul(fresh));
      changed.push(held.assign(average));
      return average;
    };
    let variance: Tensor;
    if (p.ndim > 1) {
      const row = next("rowVar", squares.mean(-1, true));
      const column = next("colVar", squares.mean(-2, true));
      variance = row.mul(column).div(row.mean(-2, true).clamp({ min: eps }));
    } else variance = next("variance", squares);
    const update = variance.clamp({ min: eps * eps }).rsqrt().mul(g);
    const size = rootMeanSquare(p).clamp({ min: leastSize }).mul(relative);
    const excess = rootMeanSquare(update).div(group.value("d", p.dtype)).clamp({ min: 1 });
    const from = group.isZero("weightDecay") ? p : p.mul(decay);
    changed.push(p.assign(from.sub(update.mul(size.div(excess)))));
    return changed;
  }

  /** What a tensor of the state looks like: rows and columns have one dimension of size 1. */
  protected override stateForm(p: Tensor, key: string): StateForm {
    if (key === "rowVar") return { shape: flattened(p.shape, 1), dtype: p.dtype };
    if (key === "colVar") return { shape: flattened(p.shape, 2), dtype: p.dtype };
    return super.stateForm(p, key);
  }
}
