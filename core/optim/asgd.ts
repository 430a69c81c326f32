/** Gradient descent that averages its own path. */
import type { Tensor } from "../tensor/mod.ts";
import { CountedOptimizer, type Scalars } from "./counted.ts";
import { notNegative, type ParamState } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";

/** Options of {@linkcode ASGD}. */
export interface ASGDOptions extends OptimizerOptions {
  /** Decay of the parameters with the step size; 1e-4 by default. */
  readonly lambd?: number;
  /** Power with which the step size falls; 0.75 by default. */
  readonly alpha?: number;
  /** Step from which on the path is averaged; 1e6 by default. */
  readonly t0?: number;
  /** Pull towards zero, added to the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Averaged stochastic gradient descent (Polyak and Juditsky 1992) in PyTorch's form: the average of the path is the state `ax`. One kernel for
 * each parameter, and one for the scalars of the step.
 */
export class ASGD extends CountedOptimizer<ASGDOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (0.01 by default), lambd, alpha, t0, weight decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<ASGDOptions>, options: Partial<ASGDOptions> = {}) {
    const { lr = 1e-2, lambd = 1e-4, alpha = 0.75, t0 = 1e6, weightDecay = 0 } = options;
    super(params, { lr, lambd, alpha, t0, weightDecay, maximize: options.maximize ?? false }, {
      weightDecay: notNegative,
    });
  }

  /** The count, the step size and the weight of the newest point in the average: both are those of the next step. */
  protected override initialScalars(
    group: ParamGroup<ASGDOptions>,
  ): Readonly<Record<string, number>> {
    return { step: 0, eta: group.lr, mu: 1 };
  }

  /** Step size and weight of the next step. */
  protected override scalars(group: ParamGroup<ASGDOptions>, t: Tensor, lr: Tensor): Scalars {
    const lambd = group.value("lambd", "float64"), alpha = group.value("alpha", "float64");
    return {
      eta: lr.div(lr.mul(lambd).mul(t).add(1).pow(alpha)),
      mu: t.sub(group.value("t0", "float64")).maximum(1).reciprocal(),
    };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<ASGDOptions>,
    state: ParamState,
    { eta, mu }: Scalars,
  ): Tensor[] {
    const average = state.ax ??= this.newState(p);
    const g = this.decayedGradient(p, group);
    const decay = eta.mul(group.value("lambd", p.dtype)).neg().add(1);
    const next = p.mul(decay).sub(g.mul(eta));
    // A weight of 1 gives the newest point itself, without rounding.
    const nextAverage = mu.eq(1).where(next, average.add(next.sub(average).mul(mu)));
    return [average.assign(nextAverage), p.assign(next)];
  }
}
