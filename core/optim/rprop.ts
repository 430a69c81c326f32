/** Steps whose size follows from the signs of the gradient. */
import type { Tensor } from "../tensor/mod.ts";
import { CountedOptimizer } from "./counted.ts";
import type { OptionCheck, ParamState } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";

/** Options of {@linkcode Rprop}. */
export interface RpropOptions extends OptimizerOptions {
  /** Factors of the step size when the sign changes and when it stays; `[0.5, 1.2]` by default. */
  readonly etas?: readonly [number, number];
  /** Smallest and largest step size; `[1e-6, 50]` by default. */
  readonly stepSizes?: readonly [number, number];
}

const aroundOne: OptionCheck = [
  (x: readonly number[]) => x.length === 2 && 0 < x[0] && x[0] < 1 && 1 < x[1],
  "one number between 0 and 1 and one above 1",
];

/**
 * Resilient backpropagation (Riedmiller and Braun 1993) in PyTorch's form; for gradients of all the data at once. The learning rate is the first
 * step size only. One kernel for each parameter, and one for the step count.
 */
export class Rprop extends CountedOptimizer<RpropOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (0.01 by default), factors, bounds of the step size
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<RpropOptions>, options: Partial<RpropOptions> = {}) {
    const { lr = 1e-2, etas = [0.5, 1.2], stepSizes = [1e-6, 50], maximize = false } = options;
    super(params, { lr, etas, stepSizes, maximize }, { etas: aroundOne });
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<RpropOptions>,
    state: ParamState,
  ): Tensor[] {
    const previous = state.prev ??= this.newState(p);
    const size = state.stepSize ??= this.newState(p, group.lr);
    const [shrink, grow] = [0, 1].map((i) => group.value("etas", p.dtype, i));
    const [min, max] = [0, 1].map((i) => group.value("stepSizes", p.dtype, i));
    const g = this.gradientOf(p, group), agreement = g.mul(previous);
    const grown = agreement.gt(0).where(size.mul(grow), size);
    const next = agreement.lt(0).where(size.mul(shrink), grown).clamp({ min, max });
    // After a change of sign the parameter waits for one step.
    const used = agreement.lt(0).where(0, g);
    return [
      size.assign(next),
      previous.assign(used),
      p.assign(p.sub(used.sign().mul(next))),
    ];
  }
}
