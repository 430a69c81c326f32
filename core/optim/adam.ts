/** Adam, with weight decay as part of the gradient or apart from it. */
import type { Tensor } from "../tensor/mod.ts";
import { notNegative, Optimizer, unitPair } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup, Params } from "./param_group.ts";
import { StepCount } from "./step_count.ts";

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
export abstract class AdamBase extends Optimizer<AdamOptions> {
  /** Whether the weight decay shrinks the parameter instead of entering the gradient. */
  protected abstract readonly isDecoupled: boolean;
  readonly #counts: Map<Tensor, StepCount> = new Map();

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

  /** The changes of one step. */
  protected override update(group: ParamGroup<AdamOptions>, params: readonly Tensor[]): Tensor[] {
    const { betas: [beta1, beta2], eps, weightDecay, amsgrad } = group.options;
    const changed: Tensor[] = [];
    for (const [count, members] of this.#countsOf(params)) {
      const { scalars, changed: counted } = count.next(group.lrTensor, group.options);
      changed.push(...counted);
      for (const p of members) {
        const state = this.stateOf(p), { stepSize, inverseRoot, decay } = scalars;
        const mean = state.expAvg ??= this.newState(p),
          square = state.expAvgSq ??= this.newState(p);
        const cast = (t: Tensor) => t.to(p.dtype);
        let g = this.gradientOf(p, group), from: Tensor = p;
        if (weightDecay !== 0 && this.isDecoupled) from = p.mul(cast(decay));
        else if (weightDecay !== 0) g = g.add(p.mul(weightDecay));
        const nextMean = mean.add(g.sub(mean).mul(1 - beta1));
        const nextSquare = square.mul(beta2).add(g.mul(g).mul(1 - beta2));
        let largest = nextSquare;
        if (amsgrad) {
          const highest = state.maxExpAvgSq ??= this.newState(p);
          largest = highest.maximum(nextSquare);
          changed.push(highest.assign(largest));
        }
        const root = largest.sqrt().mul(cast(inverseRoot)).add(eps);
        const next = from.sub(nextMean.div(root).mul(cast(stepSize)));
        changed.push(mean.assign(nextMean), square.assign(nextSquare), p.assign(next));
      }
    }
    return changed;
  }

  /** The parameters by their step counts. Those that now step without others that they used to step with get a count of their own. */
  #countsOf(params: readonly Tensor[]): Map<StepCount, Tensor[]> {
    const found = new Map<StepCount, Tensor[]>();
    let fresh: StepCount | undefined;
    for (const p of params) {
      const count = this.#counts.get(p) ?? (fresh ??= new StepCount(p.device));
      this.#counts.set(p, count);
      const members = found.get(count);
      if (members === undefined) found.set(count, [p]);
      else members.push(p);
    }
    for (const [count, members] of [...found]) {
      const isWhole = [...this.#counts.values()].filter((c) =>
        c === count
      ).length === members.length;
      if (!isWhole) {
        const own = count.split();
        found.delete(count);
        found.set(own, members);
        for (const p of members) this.#counts.set(p, own);
      }
    }
    for (const [count, members] of found) {
      for (const p of members) this.stateOf(p).step = count.step;
    }
    return found;
  }

  /** Counts steps on from the loaded state. */
  protected override stateLoaded(): void {
    this.#counts.clear();
    for (const group of this.paramGroups) {
      const byStep = new Map<number, StepCount>();
      for (const p of group.params) {
        const state = this.state.get(p);
        if (state?.step === undefined) continue;
        const steps = state.step.item();
        let count = byStep.get(steps);
        if (count === undefined) byStep.set(steps, count = new StepCount(p.device, state.step));
        state.step = count.step;
        this.#counts.set(p, count);
      }
    }
  }
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
