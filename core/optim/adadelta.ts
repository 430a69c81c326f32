/** Steps whose length follows from earlier steps. */
import type { Tensor } from "../tensor/mod.ts";
import { CountedOptimizer } from "./counted.ts";
import { notNegative, type ParamState, share } from "./optimizer.ts";
import { oneMinus, type OptimizerOptions, type ParamGroup, type Params } from "./param_group.ts";

/** Options of {@linkcode Adadelta}. */
export interface AdadeltaOptions extends OptimizerOptions {
  /** Share of the old averages of squared gradients and squared steps; 0.9 by default. */
  readonly rho?: number;
  /** Added under both roots; 1e-6 by default. */
  readonly eps?: number;
  /** Pull towards zero, added to the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/** Adadelta (Zeiler, arXiv:1212.5701) in PyTorch's form. One kernel for each parameter, and one for the step count. */
export class Adadelta extends CountedOptimizer<AdadeltaOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (1 by default), rho, eps, weight decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<AdadeltaOptions>, options: Partial<AdadeltaOptions> = {}) {
    const { lr = 1, rho = 0.9, eps = 1e-6, weightDecay = 0, maximize = false } = options;
    super(params, { lr, rho, eps, weightDecay, maximize }, {
      rho: share,
      eps: notNegative,
      weightDecay: notNegative,
    });
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<AdadeltaOptions>,
    state: ParamState,
  ): Tensor[] {
    const square = state.squareAvg ??= this.newState(p);
    const steps = state.accDelta ??= this.newState(p);
    const rho = group.value("rho", p.dtype), eps = group.value("eps", p.dtype);
    const g = this.decayedGradient(p, group), fresh = oneMinus(rho);
    const nextSquare = square.mul(rho).add(g.mul(g).mul(fresh));
    const delta = steps.add(eps).sqrt().div(nextSquare.add(eps).sqrt()).mul(g);
    const next = p.sub(delta.mul(group.lrTensor.to(p.dtype)));
    return [
      square.assign(nextSquare),
      steps.assign(steps.mul(rho).add(delta.mul(delta).mul(fresh))),
      p.assign(next),
    ];
  }
}
