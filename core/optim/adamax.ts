/** Adam with the largest gradient instead of the averaged square. */
import type { Tensor } from "../tensor/mod.ts";
import { betaPower, CountedOptimizer, type Scalars } from "./counted.ts";
import { notNegative, type ParamState, unitPair } from "./optimizer.ts";
import { oneMinus, type OptimizerOptions, type ParamGroup, type Params } from "./param_group.ts";

/** Options of {@linkcode Adamax}. */
export interface AdamaxOptions extends OptimizerOptions {
  /** Share of the old average of gradients, and what is left of the largest one each step; `[0.9, 0.999]` by default. */
  readonly betas?: readonly [number, number];
  /** Added to the size of a gradient; 1e-8 by default. */
  readonly eps?: number;
  /** Pull towards zero, added to the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/** Adamax (Kingma and Ba, arXiv:1412.6980, section 7.1) in PyTorch's form. One kernel for each parameter, and one for the scalars of the step. */
export class Adamax extends CountedOptimizer<AdamaxOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (2e-3 by default), betas, eps, weight decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<AdamaxOptions>, options: Partial<AdamaxOptions> = {}) {
    const { lr = 2e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = options;
    super(params, { lr, betas, eps, weightDecay, maximize: options.maximize ?? false }, {
      betas: unitPair,
      eps: notNegative,
      weightDecay: notNegative,
    });
  }

  /** `lr / (1 - beta1^t)`. */
  protected override scalars(group: ParamGroup<AdamaxOptions>, t: Tensor, lr: Tensor): Scalars {
    return { stepSize: lr.div(betaPower(group, 0, t).neg().add(1)) };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<AdamaxOptions>,
    state: ParamState,
    { stepSize }: Scalars,
  ): Tensor[] {
    const mean = state.expAvg ??= this.newState(p), largest = state.expInf ??= this.newState(p);
    const [beta1, beta2] = [0, 1].map((i) => group.value("betas", p.dtype, i));
    const g = this.decayedGradient(p, group);
    const nextMean = mean.add(g.sub(mean).mul(oneMinus(beta1)));
    const next = largest.mul(beta2).maximum(g.abs().add(group.value("eps", p.dtype)));
    return [
      mean.assign(nextMean),
      largest.assign(next),
      p.assign(p.sub(nextMean.mul(stepSize).div(next))),
    ];
  }
}
