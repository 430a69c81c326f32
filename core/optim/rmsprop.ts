/** Steps divided by the root of the averaged square of the gradient. */
import type { Tensor } from "../tensor/mod.ts";
import { CountedOptimizer } from "./counted.ts";
import { notNegative, type ParamState } from "./optimizer.ts";
import { oneMinus, type OptimizerOptions, type ParamGroup, type Params } from "./param_group.ts";

/** Options of {@linkcode RMSprop}. */
export interface RMSpropOptions extends OptimizerOptions {
  /** Share of the old average of squared gradients; 0.99 by default. */
  readonly alpha?: number;
  /** Added to the root; 1e-8 by default. */
  readonly eps?: number;
  /** Pull towards zero, added to the gradient; 0 by default. */
  readonly weightDecay?: number;
  /** Share of the previous update that goes on; 0 by default. */
  readonly momentum?: number;
  /** Whether to divide by the deviation of the gradient instead of its size; false by default. */
  readonly centered?: boolean;
}

/** RMSprop (Hinton 2012, lecture 6) in PyTorch's form. One kernel for each parameter, and one for the step count. */
export class RMSprop extends CountedOptimizer<RMSpropOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (0.01 by default), alpha, eps, weight decay, momentum, whether centered
   * @throws {RangeError} When an option is out of range
   */
  constructor(params: Params<RMSpropOptions>, options: Partial<RMSpropOptions> = {}) {
    const { lr = 1e-2, alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0 } = options;
    const { centered = false, maximize = false } = options;
    super(params, { lr, alpha, eps, weightDecay, momentum, centered, maximize }, {
      alpha: notNegative,
      eps: notNegative,
      weightDecay: notNegative,
      momentum: notNegative,
    });
  }

  /** The change of one parameter. */
  protected override change(
    p: Tensor,
    group: ParamGroup<RMSpropOptions>,
    state: ParamState,
  ): Tensor[] {
    const g = this.decayedGradient(p, group), changed: Tensor[] = [];
    const square = state.squareAvg ??= this.newState(p), alpha = group.value("alpha", p.dtype);
    const nextSquare = square.mul(alpha).add(g.mul(g).mul(oneMinus(alpha)));
    changed.push(square.assign(nextSquare));
    let variance = nextSquare;
    if (group.options.centered) {
      const mean = state.gradAvg ??= this.newState(p);
      const nextMean = mean.add(g.sub(mean).mul(oneMinus(alpha)));
      changed.push(mean.assign(nextMean));
      variance = nextSquare.sub(nextMean.mul(nextMean));
    }
    let update = g.div(variance.sqrt().add(group.value("eps", p.dtype)));
    if (!group.isZero("momentum")) {
      const buffer = state.momentumBuffer ??= this.newState(p);
      update = buffer.mul(group.value("momentum", p.dtype)).add(update);
      changed.push(buffer.assign(update));
    }
    changed.push(p.assign(p.sub(update.mul(group.lrTensor.to(p.dtype)))));
    return changed;
  }
}
