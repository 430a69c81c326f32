/** Adam with a rectified variance. */
import type { Tensor } from "../tensor/mod.ts";
import { nextMoments } from "./adam.ts";
import { betaPower, CountedOptimizer, decayFactor, type Scalars } from "./counted.ts";
import { notNegative, type ParamState, unitPair } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";

/** Options of {@linkcode RAdam}. */
export interface RAdamOptions extends OptimizerOptions {
  /** Shares of the old averages of gradient and squared gradient; `[0.9, 0.999]` by default. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the averaged square; 1e-8 by default. */
  readonly eps?: number;
  /** Pull towards zero; 0 by default. */
  readonly weightDecay?: number;
  /** Whether the weight decay shrinks the parameter instead of entering the gradient; false by default. */
  readonly decoupledWeightDecay?: boolean;
}

/**
 * Rectified Adam (Liu et al., arXiv:1908.03265) in PyTorch's form: while too few gradients have been seen to know their variance, steps go along
 * their average alone. One kernel for each parameter, and one for the scalars of the step.
 */
export class RAdam extends CountedOptimizer<RAdamOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (1e-3 by default), betas, eps, weight decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<RAdamOptions>, options: Partial<RAdamOptions> = {}) {
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 } = options;
    const { decoupledWeightDecay = false, maximize = false } = options;
    super(params, { lr, betas, eps, weightDecay, decoupledWeightDecay, maximize }, {
      betas: unitPair,
      eps: notNegative,
      weightDecay: notNegative,
    });
  }

  /** Lengths of a rectified and of a plain step; one of them is 0. */
  protected override scalars(group: ParamGroup<RAdamOptions>, t: Tensor, lr: Tensor): Scalars {
    const stepSize = lr.div(betaPower(group, 0, t).neg().add(1));
    const power = betaPower(group, 1, t), correction = power.neg().add(1);
    const beta2 = group.value("betas", "float64", 1);
    // The length of the longest average, and of the one at step t.
    const longest = typeof beta2 === "number"
      ? 2 / (1 - beta2) - 1
      : beta2.neg().add(1).reciprocal().mul(2).sub(1);
    const length = t.mul(-2).mul(power).div(correction).add(longest);
    const scale = typeof longest === "number"
      ? longest / ((longest - 4) * (longest - 2))
      : longest.div(longest.sub(4).mul(longest.sub(2)));
    const rectified = length.sub(4).mul(length.sub(2)).mul(scale).div(length).mul(correction);
    const isRectified = length.gt(5);
    return {
      adaptiveSize: isRectified.where(rectified.sqrt().mul(stepSize), 0),
      plainSize: isRectified.where(0, stepSize),
      ...(group.options.decoupledWeightDecay && !group.isZero("weightDecay") &&
        { decay: decayFactor(group, lr) }),
    };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<RAdamOptions>,
    state: ParamState,
    { adaptiveSize, plainSize, decay }: Scalars,
  ): Tensor[] {
    const { decoupledWeightDecay } = group.options;
    const { moments: [nextMean, nextSquare], changed } = nextMoments(
      decoupledWeightDecay ? this.gradientOf(p, group) : this.decayedGradient(p, group),
      group,
      state.expAvg ??= this.newState(p),
      state.expAvgSq ??= this.newState(p),
    );
    const from = decoupledWeightDecay && !group.isZero("weightDecay") ? p.mul(decay) : p;
    const root = nextSquare.sqrt().add(group.value("eps", p.dtype));
    // Not the sum of both: without eps the root of a gradient that was always 0 is 0.
    const size = adaptiveSize.gt(0).where(adaptiveSize.div(root), plainSize);
    return [...changed, p.assign(from.sub(nextMean.mul(size)))];
  }
}
