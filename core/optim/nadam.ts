/** Adam with Nesterov momentum. */
import { full, type Tensor } from "../tensor/mod.ts";
import { nextMoments } from "./adam.ts";
import { betaPower, CountedOptimizer, decayFactor, type Scalars } from "./counted.ts";
import { notNegative, type ParamState, unitPair } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";

/** Options of {@linkcode NAdam}. */
export interface NAdamOptions extends OptimizerOptions {
  /** Shares of the old averages of gradient and squared gradient; `[0.9, 0.999]` by default. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the averaged square; 1e-8 by default. */
  readonly eps?: number;
  /** Pull towards zero; 0 by default. */
  readonly weightDecay?: number;
  /** How fast the momentum grows to `betas[0]`; 4e-3 by default. */
  readonly momentumDecay?: number;
  /** Whether the weight decay shrinks the parameter instead of entering the gradient; false by default. */
  readonly decoupledWeightDecay?: boolean;
}

/** Adam with Nesterov momentum (Dozat 2016) in PyTorch's form. One kernel for each parameter, and one for the scalars of the step. */
export class NAdam extends CountedOptimizer<NAdamOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (2e-3 by default), betas, eps, weight decay, momentum decay
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<NAdamOptions>, options: Partial<NAdamOptions> = {}) {
    const { lr = 2e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, momentumDecay = 4e-3 } =
      options;
    const { decoupledWeightDecay = false, maximize = false } = options;
    super(
      params,
      { lr, betas, eps, weightDecay, momentumDecay, decoupledWeightDecay, maximize },
      {
        betas: unitPair,
        eps: notNegative,
        weightDecay: notNegative,
        momentumDecay: notNegative,
      },
    );
  }

  /** The count, and the product of all momenta so far. */
  protected override initialScalars(): Readonly<Record<string, number>> {
    return { step: 0, muProduct: 1 };
  }

  /** Lengths of the steps along the gradient and along its average. */
  protected override scalars(
    group: ParamGroup<NAdamOptions>,
    t: Tensor,
    lr: Tensor,
    old: Scalars,
  ): Scalars {
    const beta1 = group.value("betas", "float64");
    const decay = group.value("momentumDecay", "float64");
    const wide = { dtype: "float64", device: t.device } as const;
    const momentum = (step: Tensor) =>
      full([], 0.96, wide).pow(step.mul(decay)).mul(-0.5).add(1).mul(beta1);
    const mu = momentum(t), next = momentum(t.add(1));
    const muProduct = old.muProduct.to("float64").mul(mu);
    const isDecayed = group.options.decoupledWeightDecay && !group.isZero("weightDecay");
    return {
      muProduct,
      gradientSize: lr.mul(mu.neg().add(1)).div(muProduct.neg().add(1)),
      meanSize: lr.mul(next).div(muProduct.mul(next).neg().add(1)),
      inverseRoot: betaPower(group, 1, t).neg().add(1).rsqrt(),
      ...(isDecayed && { decay: decayFactor(group, lr) }),
    };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<NAdamOptions>,
    state: ParamState,
    { gradientSize, meanSize, inverseRoot, decay }: Scalars,
  ): Tensor[] {
    const { decoupledWeightDecay } = group.options;
    const g = decoupledWeightDecay ? this.gradientOf(p, group) : this.decayedGradient(p, group);
    const mean = state.expAvg ??= this.newState(p), square = state.expAvgSq ??= this.newState(p);
    const { moments: [nextMean, nextSquare], changed } = nextMoments(g, group, mean, square);
    const from = decoupledWeightDecay && !group.isZero("weightDecay") ? p.mul(decay) : p;
    const root = nextSquare.sqrt().mul(inverseRoot).add(group.value("eps", p.dtype));
    const along = g.mul(gradientSize).add(nextMean.mul(meanSize));
    return [...changed, p.assign(from.sub(along.div(root)))];
  }
}
