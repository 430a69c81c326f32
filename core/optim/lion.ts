/** Steps of one size, along the sign of a momentum. */
import type { Tensor } from "../tensor/mod.ts";
import { notNegative, Optimizer, unitPair } from "./optimizer.ts";
import { oneMinus, type OptimizerOptions, type ParamGroup, type Params } from "./param_group.ts";

/** Options of {@linkcode Lion}. */
export interface LionOptions extends OptimizerOptions {
  /** Share of the momentum in a step, and of the old momentum in the new one; `[0.9, 0.99]` by default. */
  readonly betas?: readonly [number, number];
  /** Pull towards zero, apart from the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Lion (Chen et al., arXiv:2302.06675, algorithm 2). PyTorch has none; option and state names are those of its Adam. Good learning rates are
 * three to ten times smaller than AdamW's, weight decays as much larger. One kernel for each parameter.
 */
export class Lion extends Optimizer<LionOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (1e-4 by default), betas, weight decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<LionOptions>, options: Partial<LionOptions> = {}) {
    const { lr = 1e-4, betas = [0.9, 0.99], weightDecay = 0, maximize = false } = options;
    super(params, { lr, betas, weightDecay, maximize }, {
      betas: unitPair,
      weightDecay: notNegative,
    });
  }

  /** The changes of one step. */
  protected override update(group: ParamGroup<LionOptions>, params: readonly Tensor[]): Tensor[] {
    return params.flatMap((p) => {
      const state = this.stateOf(p), mean = state.expAvg ??= this.newState(p);
      const [beta1, beta2] = [0, 1].map((i) => group.value("betas", p.dtype, i));
      const g = this.gradientOf(p, group), lr = group.lrTensor.to(p.dtype);
      // One difference for both averages, so that they share a kernel.
      const change = g.sub(mean), direction = mean.add(change.mul(oneMinus(beta1))).sign();
      const pull = group.isZero("weightDecay")
        ? direction
        : direction.add(p.mul(group.value("weightDecay", p.dtype)));
      const next = mean.add(change.mul(oneMinus(beta2)));
      return [mean.assign(next), p.assign(p.sub(pull.mul(lr)))];
    });
  }
}
