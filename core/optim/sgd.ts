/** Stochastic gradient descent. */
import { type Numeric, type Tensor, where } from "../tensor/mod.ts";
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
  readonly #started: Map<Tensor, Tensor> = new Map();
  readonly #marks: Tensor[] = [];

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

  /**
   * Share of the gradient that enters the momentum. Where a first step may be skipped, a flag beside the state says whether there has been one.
   */
  #fresh(p: Tensor, group: ParamGroup<SGDOptions>, isUndamped: boolean): Numeric {
    const share = oneMinus(group.value("dampening", p.dtype));
    if (isUndamped) this.#started.set(p, this.newState(p, 0, []));
    const started = this.#started.get(p);
    if (started === undefined) return share;
    const now = started.ne(0).where(share, 1).to(p.dtype), { skip } = this.guard;
    this.#marks.push(
      started.assign(skip === undefined ? started.mul(0).add(1) : where(skip, started, 1)),
    );
    return now;
  }

  /** Forgets what was noted of first steps: a loaded momentum has had its own. */
  protected override stateLoaded(): void {
    this.#started.clear();
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
        const isUndamped = isFirst && !group.isZero("dampening");
        const next = isUndamped && this.guard.skip === undefined
          ? d
          : buffer.mul(momentum).add(d.mul(this.#fresh(p, group, isUndamped)));
        d = nesterov ? d.add(next.mul(momentum)) : next;
        changed.push(buffer.assign(next));
      }
      changed.push(p.assign(p.sub(d.mul(group.lrTensor.to(p.dtype)))));
    }
    return [...changed, ...this.#marks.splice(0)];
  }
}
