/** Adam, with weight decay as part of the gradient or apart from it. */
import type { Tensor } from "../tensor/mod.ts";
import { betaPower, CountedOptimizer, decayFactor, type Scalars } from "./counted.ts";
import { notNegative, type ParamState, unitPair } from "./optimizer.ts";
import { oneMinus, type OptimizerOptions, type ParamGroup, type Params } from "./param_group.ts";

/** Options of {@linkcode Adam} and {@linkcode AdamW}. */
export interface AdamOptions extends OptimizerOptions {
  /** Shares of the old averages of gradient and squared gradient; `[0.9, 0.999]` by default. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the averaged square; 1e-8 by default. */
  readonly eps?: number;
  /** Pull towards zero; 0 by default in Adam, 0.01 in AdamW. */
  readonly weightDecay?: number;
  /** Whether to divide by the largest average so far (Reddi et al. 2018); false by default. */
  readonly amsgrad?: boolean;
}

/** What {@linkcode Adam} and {@linkcode AdamW} share. */
export abstract class AdamBase extends CountedOptimizer<AdamOptions> {
  /** Whether the weight decay shrinks the parameter instead of entering the gradient. */
  protected abstract readonly isDecoupled: boolean;

  /** `decay` is the weight decay when none is given. */
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions>, decay: number) {
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = decay, amsgrad = false } =
      options;
    super(params, { lr, betas, eps, weightDecay, amsgrad, maximize: options.maximize ?? false }, {
      betas: unitPair,
      eps: notNegative,
      weightDecay: notNegative,
    });
  }

  /** `lr / (1 - beta1^t)`, `1 / sqrt(1 - beta2^t)` and `1 - lr * weightDecay`. */
  protected override scalars(group: ParamGroup<AdamOptions>, t: Tensor, lr: Tensor): Scalars {
    return {
      stepSize: lr.div(betaPower(group, 0, t).neg().add(1)),
      inverseRoot: betaPower(group, 1, t).neg().add(1).rsqrt(),
      ...(this.isDecoupled && !group.isZero("weightDecay") && { decay: decayFactor(group, lr) }),
    };
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<AdamOptions>,
    state: ParamState,
    { stepSize, inverseRoot, decay }: Scalars,
  ): Tensor[] {
    const { moments: [nextMean, nextSquare], changed } = nextMoments(
      this.isDecoupled ? this.gradientOf(p, group) : this.decayedGradient(p, group),
      group,
      state.expAvg ??= this.newState(p),
      state.expAvgSq ??= this.newState(p),
    );
    const from = this.isDecoupled && !group.isZero("weightDecay") ? p.mul(decay) : p;
    let largest = nextSquare;
    if (group.options.amsgrad) {
      const highest = state.maxExpAvgSq ??= this.newState(p);
      largest = highest.maximum(nextSquare);
      changed.push(highest.assign(largest));
    }
    const root = largest.sqrt().mul(inverseRoot).add(group.value("eps", p.dtype));
    changed.push(p.assign(from.sub(nextMean.div(root).mul(stepSize))));
    return changed;
  }
}

/** The running averages of a gradient and its square after one more gradient, and their assignments. */
export function nextMoments<O extends OptimizerOptions>(
  g: Tensor,
  group: ParamGroup<O>,
  mean: Tensor,
  square: Tensor,
): { moments: [mean: Tensor, square: Tensor]; changed: Tensor[] } {
  const [beta1, beta2] = [0, 1].map((i) => group.value("betas", g.dtype, i));
  const nextMean = mean.add(g.sub(mean).mul(oneMinus(beta1)));
  const nextSquare = square.mul(beta2).add(g.mul(g).mul(oneMinus(beta2)));
  const changed = [mean.assign(nextMean), square.assign(nextSquare)];
  return { moments: [nextMean, nextSquare], changed };
}

/**
 * Adam (Kingma and Ba, arXiv:1412.6980) in PyTorch's form; weight decay is added to the gradient. One kernel for each parameter, and one
 * for the scalars of the step.
 *
 * ```ts ignore
 * const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 });
 * ```
 */
export class Adam extends AdamBase {
  /** Whether the weight decay shrinks the parameter instead of entering the gradient. */
  protected override readonly isDecoupled: boolean = false;

  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (1e-3 by default), betas, eps, weight decay (0 by default), AMSGrad
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, options, 0);
  }
}

/**
 * Adam with weight decay apart from the gradient (Loshchilov and Hutter, arXiv:1711.05101) in PyTorch's form: `p` is first multiplied by
 * `1 - lr * weightDecay`. One kernel for each parameter, and one for the scalars of the step.
 */
export class AdamW extends AdamBase {
  /** Whether the weight decay shrinks the parameter instead of entering the gradient. */
  protected override readonly isDecoupled: boolean = true;

  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (1e-3 by default), betas, eps, weight decay (0.01 by default), AMSGrad
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, options, 0.01);
  }
}
