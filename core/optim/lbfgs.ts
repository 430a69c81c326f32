/** Quasi-Newton steps from the last changes of the gradient, with the line search, which no other optimizer has. */
import {
  cat,
  enableGrad,
  full,
  keep,
  noGrad,
  realize,
  stack,
  stepScope,
  type Tensor,
  zeros,
} from "../tensor/mod.ts";
import type { StepGuard } from "./guard.ts";
import { type LinePoint, strongWolfe } from "./line_search.ts";
import { type Change, dispose, type Memory, read, twoLoop } from "./lbfgs_memory.ts";
import { notNegative, Optimizer, type OptionCheck } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroupInput, Params } from "./param_group.ts";
import type { OptimizerStateDict } from "./state_dict.ts";

/** Options of {@linkcode LBFGS}. */
export interface LBFGSOptions extends OptimizerOptions {
  /** Iterations of one step; 20 by default. */
  readonly maxIter?: number;
  /** Evaluations of one step; null for `maxIter * 5 / 4`, the default. */
  readonly maxEval?: number | null;
  /** Largest element of a gradient that counts as converged; 1e-7 by default. */
  readonly toleranceGrad?: number;
  /** Change of the loss, or of every parameter, that counts as converged; 1e-9 by default. */
  readonly toleranceChange?: number;
  /** Changes that are remembered; 100 by default. */
  readonly historySize?: number;
  /** `"strong_wolfe"`, or null (the default) for steps of the length `lr`. */
  readonly lineSearchFn?: "strong_wolfe" | null;
}

const count: OptionCheck = [(x: number) => Number.isInteger(x) && x > 0, "a whole number above 0"];

/**
 * L-BFGS (Nocedal 1980) in PyTorch's form, with its strong Wolfe line search (Nocedal and Wright, Numerical Optimization, algorithms 3.5, 3.6 and
 * 7.4). `step` calls a closure that clears the gradients, computes the loss and its gradients and returns the loss; every iteration decides on the
 * host, so a step cannot be captured. Takes one parameter group.
 *
 * Memory: twice `historySize` times the parameters. The state of PyTorch's layout holds lists as tensors with one more dimension.
 */
export class LBFGS extends Optimizer<LBFGSOptions> {
  #evaluations = 0;
  #iterations = 0;
  #memory: Memory | undefined;

  /**
   * Makes the optimizer; nothing is allocated before the first step.
   * @param params The parameters, one group
   * @param options Learning rate (1 by default), limits, tolerances, history, line search
   * @throws {RangeError} When an option is out of range, or there is more than one group
   */
  constructor(params: Params<LBFGSOptions>, options: Partial<LBFGSOptions> = {}) {
    const { lr = 1, maxIter = 20, maxEval = null, toleranceGrad = 1e-7, toleranceChange = 1e-9 } =
      options;
    const { historySize = 100, lineSearchFn = null } = options;
    super(params, {
      lr,
      maxIter,
      maxEval: maxEval ?? Math.floor(maxIter * 5 / 4),
      toleranceGrad,
      toleranceChange,
      historySize,
      lineSearchFn,
      maximize: false,
    }, {
      maxIter: count,
      toleranceGrad: notNegative,
      toleranceChange: notNegative,
      historySize: count,
      lineSearchFn: [
        (x: unknown) => x === null || x === "strong_wolfe",
        "strong_wolfe or null",
      ],
      maximize: [(x: unknown) => x === false, "false: negate the loss instead"],
    });
  }

  /**
   * Adds the only group.
   * @throws {RangeError} When there is one already
   */
  override addParamGroup(group: ParamGroupInput<LBFGSOptions>): void {
    if (this.paramGroups.length > 0) {
      throw new RangeError("Cannot add a second parameter group to LBFGS: it takes one");
    }
    super.addParamGroup(group);
  }

  /** Never called: a step is a search of its own. */
  protected override update(): Tensor[] {
    return [];
  }

  get #params(): readonly Tensor[] {
    return this.paramGroups[0].params;
  }

  /** All gradients as one vector, in memory of its own. */
  #flatGradient(): Tensor {
    const parts = this.#params.map((p) =>
      p.grad === undefined
        ? zeros([p.numel], { dtype: p.dtype, device: p.device })
        : p.grad.reshape(-1)
    );
    return cat(parts).clone().realize();
  }

  /** Sets the parameters to `from + t * direction`. */
  #move(from: readonly Tensor[], direction: Tensor, t: Tensor): void {
    let offset = 0;
    const moved = this.#params.map((p, i) => {
      const part = direction.narrow(0, offset, p.numel).reshape(p.shape);
      offset += p.numel;
      return p.assign(from[i].add(part.mul(t)));
    });
    realize(...moved);
  }

  /** The closure's loss and gradient at the present parameters. */
  #evaluate(closure: () => Tensor): { f: number; gradient: Tensor } {
    this.#evaluations++;
    const f = enableGrad(closure).item() as number;
    return { f, gradient: this.#flatGradient() };
  }

  /** Remembers how the gradient changed over the last move, unless it curved the wrong way. */
  #remember(memory: Memory, gradient: Tensor): void {
    const y = gradient.sub(memory.gradient), s = memory.direction.mul(memory.t), ys = y.dot(s);
    if (!(ys.item() > 1e-10)) return;
    if (memory.changes.length === this.paramGroups[0].options.historySize) {
      const { y, s, ro } = memory.changes.shift()!;
      dispose(y, s, ro);
    }
    dispose(memory.scale);
    memory.changes.push({ y: keep(y), s: keep(s), ro: keep(ys.reciprocal()) });
    memory.scale = keep(ys.div(y.dot(y)));
  }

  /**
   * One step: up to `maxIter` iterations.
   *
   * @param closure Computes the loss and its gradients, after clearing the old ones
   * @returns The loss before the step
   * @throws {TypeError} When there is no closure
   */
  override step(closure: () => Tensor, guard: StepGuard = {}): Tensor {
    if (guard.skip !== undefined) {
      throw new TypeError(
        "Cannot scale losses for LBFGS: it decides on the host and calls a closure; train it in float32 or bfloat16",
      );
    }
    if (typeof closure !== "function") {
      throw new TypeError("Cannot step LBFGS without a closure that returns the loss");
    }
    this.#evaluations++;
    const loss = closure(), f = loss.item() as number;
    noGrad(() => {
      using _scope = stepScope();
      this.#iterate(closure, f);
    });
    return loss;
  }

  #iterate(closure: () => Tensor, first: number): void {
    const { options, lr } = this.paramGroups[0], maxEval = options.maxEval!;
    const { dtype, device } = this.#params[0];
    const t = full([], 0, { dtype, device }).realize();
    const isSmall = (x: Tensor, bound: number) => x.abs().amax().item() as number <= bound;
    let f = first, gradient = this.#flatGradient(), evaluations = 1;
    if (isSmall(gradient, options.toleranceGrad)) return;
    for (let i = 1; i <= options.maxIter; i++) {
      const memory = this.#memory, isFirst = memory === undefined;
      this.#iterations++;
      if (memory !== undefined) this.#remember(memory, gradient);
      const direction = keep(
        memory === undefined ? gradient.neg() : twoLoop(gradient, memory),
      );
      const [sum, slope, largest] = read(
        gradient.abs().sum(),
        gradient.dot(direction),
        direction.abs().amax(),
      );
      const now: Memory = this.#memory = {
        changes: memory?.changes ?? [],
        scale: memory?.scale ?? keep(full([], 1, { dtype, device }).realize()),
        direction,
        t: isFirst ? Math.min(1, 1 / sum) * lr : lr,
        gradient: keep(gradient.clone()),
        loss: f,
      };
      if (memory !== undefined) dispose(memory.direction, memory.gradient);
      if (slope > -options.toleranceChange) return;
      let isConverged = false, used = 0;
      if (options.lineSearchFn === null) {
        this.#move(this.#params, direction, t.copy_([now.t]));
        if (i !== options.maxIter) {
          ({ f, gradient } = this.#evaluate(closure));
          isConverged = isSmall(gradient, options.toleranceGrad);
          used = 1;
        }
      } else {
        const from = this.#params.map((p) => p.detach().clone().realize());
        const at = (length: number): LinePoint<Tensor> => {
          this.#move(from, direction, t.copy_([length]));
          const here = this.#evaluate(closure);
          return {
            t: length,
            f: here.f,
            slope: here.gradient.dot(direction).item() as number,
            payload: here.gradient,
          };
        };
        const start = { t: 0, f, slope, payload: gradient };
        const limits = {
          maxIterations: maxEval - evaluations,
          toleranceChange: options.toleranceChange,
          largest,
        };
        const found = strongWolfe(at, start, now.t, limits);
        ({ f, payload: gradient } = found.point);
        [now.t, used] = [found.point.t, found.evaluations];
        this.#move(from, direction, t.copy_([now.t]));
        isConverged = isSmall(gradient, options.toleranceGrad);
      }
      evaluations += used;
      if (evaluations >= maxEval || isConverged) return;
      if (largest * Math.abs(now.t) <= options.toleranceChange) return;
      if (Math.abs(f - now.loss) < options.toleranceChange) return;
    }
  }

  /** State in PyTorch's layout, all of it with the first parameter; `old_dirs` and `old_stps` are [history, parameters], `ro` is [history]. */
  override stateDict(): OptimizerStateDict {
    const { param_groups } = super.stateDict(), memory = this.#memory;
    if (memory === undefined) return { state: {}, param_groups };
    const { dtype, device } = this.#params[0];
    const scalar = (x: number) => full([], x, { dtype: "float64", device });
    const { changes, direction, t, scale, gradient, loss } = memory;
    const list = (key: keyof Change, shape: number[]) =>
      changes.length === 0
        ? zeros([0, ...shape], { dtype, device })
        : stack(changes.map((c) => c[key]));
    const state = {
      func_evals: scalar(this.#evaluations),
      n_iter: scalar(this.#iterations),
      d: direction,
      t: scalar(t),
      old_dirs: list("y", [direction.numel]),
      old_stps: list("s", [direction.numel]),
      ro: list("ro", []),
      H_diag: scale,
      prev_flat_grad: gradient,
      prev_loss: scalar(loss),
    };
    return { state: { 0: state }, param_groups };
  }

  /**
   * Takes over options and state, copied.
   *
   * @throws {RangeError} When numbers of groups or parameters differ, or an option is out of range
   * @throws {TypeError} When a remembered vector has another size than the parameters together
   */
  override loadStateDict(dict: OptimizerStateDict): void {
    const own = dict.state[0];
    const size = this.#params.reduce((n, p) => n + p.numel, 0);
    for (const key of ["d", "prev_flat_grad", "old_dirs", "old_stps"]) {
      const t = own?.[key];
      if (t === undefined || t.shape.at(-1) === size) continue;
      throw new TypeError(
        `Cannot load the state: ${key} is [${
          t.shape.join(", ")
        }], and the parameters have ${size} elements`,
      );
    }
    super.loadStateDict({ state: {}, param_groups: dict.param_groups });
    this.#evaluations = this.#iterations = 0;
    this.#memory = undefined;
    if (own === undefined) return;
    const { dtype, device } = this.#params[0];
    const copy = (t: Tensor) => keep(noGrad(() => t.to(device).to(dtype).clone()));
    const number = (key: string) => own[key].to("float64").item() as number;
    this.#evaluations = number("func_evals");
    this.#iterations = number("n_iter");
    const changes = Array.from({ length: own.ro.shape[0] }, (_, i) => ({
      y: copy(own.old_dirs.select(0, i)),
      s: copy(own.old_stps.select(0, i)),
      ro: copy(own.ro.select(0, i)),
    }));
    this.#memory = {
      changes,
      direction: copy(own.d),
      t: number("t"),
      scale: copy(own.H_diag),
      gradient: copy(own.prev_flat_grad),
      loss: number("prev_loss"),
    };
  }
}
