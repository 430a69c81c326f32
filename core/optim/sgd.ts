/** Stochastic gradient descent. */
import type { Tensor } from "../tensor/mod.ts";
import { notNegative, Optimizer } from "./optimizer.ts";
import { oneMinus, type OptimizerOptions, type ParamGroup, type Params } from "./param_group.ts";

/** Options of {@linkcode SGD}. */
export interface SGDOptions extends OptimizerOptions {
  /** Share of the previous update that goes on; 0 by default. */
  readonly momentum?: number;
  /** Share of the gradient that does not enter the momentum; 0 by default. */
  readonly dampening?: number;
  /** Pull towards zero, added to the gradient as `weightDecay * p`; 0 by default. */
  readonly weightDecay?: number;
  /** Whether to look ahead along the momentum (Sutskever et al. 2013); false by default. */
  readonly nesterov?: boolean;
}

/**
 * `p -= lr * buffer`, where `buffer = momentum * buffer + (1 - dampening) * gradient`, PyTorch's form. One kernel for each parameter.
 *
 * ```ts ignore
 * const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
 * ```
 */
export class SGD extends Optimizer<SGDOptions> {
  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params Parameters, or groups of them
   * @param options Learning rate (1e-3 by default), momentum, weight decay
   * @throws {RangeError} When an option is out of range, or Nesterov is asked for without momentum or with dampening
   */
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    const {
      lr = 1e-3,
      momentum = 0,
      dampening = 0,
      weightDecay = 0,
      nesterov = false,
      maximize = false,
    } = options;
    super(params, { lr, momentum, dampening, weightDecay, nesterov, maximize }, {
      momentum: notNegative,
      weightDecay: notNegative,
    });
  }

  /** Nesterov momentum needs a momentum and no dampening. */
  protected override checkOptions(options: Required<SGDOptions>): void {
    if (!options.nesterov || (options.momentum > 0 && options.dampening === 0)) return;
    throw new RangeError(
      `Cannot use nesterov with momentum ${options.momentum} and dampening ${options.dampening}: it needs a momentum and no dampening`,
    );
  }

  /** The changes of one step. */
  protected override update(group: ParamGroup<SGDOptions>, params: readonly Tensor[]): Tensor[] {
    const { nesterov } = group.options, changed: Tensor[] = [];
    for (const p of params) {
      let d = this.decayedGradient(p, group);
      if (!group.isZero("momentum")) {
        const state = this.stateOf(p), isFirst = state.momentumBuffer === undefined;
        const buffer = state.momentumBuffer ??= this.newState(p);
        const momentum = group.value("momentum", p.dtype);
        // The first buffer is the undamped gradient. Without dampening the general form gives that too, and needs one plan only.
        const next = isFirst && !group.isZero("dampening")
          ? d
          : buffer.mul(momentum).add(d.mul(oneMinus(group.value("dampening", p.dtype))));
        d = nesterov ? d.add(next.mul(momentum)) : next;
        changed.push(buffer.assign(next));
      }
      changed.push(p.assign(p.sub(d.mul(group.lrTensor.to(p.dtype)))));
    }
    return changed;
  }
}
