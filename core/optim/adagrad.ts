/** Steps that shrink with all gradients so far. */
import type { Tensor } from "../tensor/mod.ts";
import { CountedOptimizer, type Scalars } from "./counted.ts";
import { notNegative, type ParamState } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";

/** Options of {@linkcode Adagrad}. */
export interface AdagradOptions extends OptimizerOptions {
  /** How fast the learning rate shrinks: it is divided by `1 + (t - 1) * lrDecay`; 0 by default. */
  readonly lrDecay?: number;
  /** Pull towards zero, added to the gradient; 0 by default. */
  readonly weightDecay?: number;
  /** Sum of squares to start from; 0 by default. */
  readonly initialAccumulatorValue?: number;
  /** Added to the root of the sum; 1e-10 by default. */
  readonly eps?: number;
}

/** Adagrad (Duchi et al. 2011) in PyTorch's form. One kernel for each parameter, and one for the scalars of the step. */
export class Adagrad extends CountedOptimizer<AdagradOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (0.01 by default), its decay, weight decay, first sum, eps
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<AdagradOptions>, options: Partial<AdagradOptions> = {}) {
    const { lr = 1e-2, lrDecay = 0, weightDecay = 0, initialAccumulatorValue = 0, eps = 1e-10 } =
      options;
    const { maximize = false } = options;
    super(params, { lr, lrDecay, weightDecay, initialAccumulatorValue, eps, maximize }, {
      lrDecay: notNegative,
      weightDecay: notNegative,
      initialAccumulatorValue: notNegative,
      eps: notNegative,
    });
  }

  /** `lr / (1 + (t - 1) * lrDecay)`. */
  protected override scalars(group: ParamGroup<AdagradOptions>, t: Tensor, lr: Tensor): Scalars {
    return { stepSize: lr.div(t.sub(1).mul(group.value("lrDecay", "float64")).add(1)) };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<AdagradOptions>,
    state: ParamState,
    { stepSize }: Scalars,
  ): Tensor[] {
    const sum = state.sum ??= this.newState(p, group.options.initialAccumulatorValue);
    const g = this.decayedGradient(p, group), next = sum.add(g.mul(g));
    const root = next.sqrt().add(group.value("eps", p.dtype));
    return [sum.assign(next), p.assign(p.sub(g.mul(stepSize).div(root)))];
  }
}
