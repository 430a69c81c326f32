/** Optimizers that count steps, and the scalars that follow from the count. */
import { full, keep, type Tensor } from "../tensor/mod.ts";
import { Optimizer, type ParamState, type StateForm } from "./optimizer.ts";
import type { OptimizerOptions, ParamGroup } from "./param_group.ts";

/** 0-d tensors by name. */
export type Scalars = Readonly<Record<string, Tensor>>;

const scalar = (value: number, device: string): Tensor =>
  keep(full([], value, { dtype: "float32", device }).realize());

/**
 * Scalars of parameters that have always been stepped together; they share one set, so that one small kernel serves them all. Everything is 0-d
 * float32 and kept.
 */
class SharedScalars {
  /** Those that go from step to step, `step` among them; part of the state. */
  readonly carried: Scalars;
  readonly #derived: Record<string, Tensor> = {};

  constructor(carried: Scalars) {
    this.carried = carried;
  }

  /** A set of its own that starts from the present numbers. */
  split(): SharedScalars {
    const copies = Object.entries(this.carried).map(([name, t]) =>
      [name, scalar(0, t.device).copy_(t).realize()] as const
    );
    return new SharedScalars(Object.fromEntries(copies));
  }

  /** Takes over the values of a step; gives the scalars that are not carried on, and all that was assigned. */
  assign(values: Scalars): { derived: Scalars; changed: Tensor[] } {
    const changed: Tensor[] = [];
    // Carried ones last: others may be made of their old values.
    const carried = Object.entries(values).filter(([name]) => name in this.carried);
    for (const [name, value] of Object.entries(values)) {
      if (name in this.carried) continue;
      const target = this.#derived[name] ??= scalar(0, value.device);
      changed.push(target.assign(value.to("float32")));
    }
    const kept = carried.map(([name, value]) => this.carried[name].assign(value.to("float32")));
    return { derived: this.#derived, changed: [...kept, ...changed] };
  }
}

/**
 * An optimizer whose update depends on the number of steps. The count and what follows from it are computed on the device once for all parameters
 * that step together, in float64: `1 - 0.999` has only four digits left in float32.
 */
export abstract class CountedOptimizer<O extends OptimizerOptions> extends Optimizer<O> {
  readonly #shared: Map<Tensor, SharedScalars> = new Map();

  /** Scalars that go from step to step, with the values that they start from. They are part of the state. */
  protected initialScalars(_group: ParamGroup<O>): Readonly<Record<string, number>> {
    return { step: 0 };
  }

  /**
   * Scalars of one step, in any float dtype. Names that are carried on replace the old values; `step` is counted already.
   *
   * @param group The group, for its options
   * @param t Number of this step from 1, 0-d float64
   * @param lr The learning rate, 0-d float64. One node for all scalars, so that they make one kernel
   * @param old The carried scalars before this step
   */
  protected scalars(_group: ParamGroup<O>, _t: Tensor, _lr: Tensor, _old: Scalars): Scalars {
    return {};
  }

  /**
   * Changes one parameter and its state.
   *
   * @param p The parameter
   * @param group Its group
   * @param state What is remembered for it
   * @param scalars Those of this step, in the parameter's dtype; of the carried ones the values before this step
   * @returns Everything assigned
   */
  protected abstract change(
    p: Tensor,
    group: ParamGroup<O>,
    state: ParamState,
    scalars: Scalars,
  ): Tensor[];

  /** The changes of one step. */
  protected override update(group: ParamGroup<O>, params: readonly Tensor[]): Tensor[] {
    const changed: Tensor[] = [];
    for (const [shared, members] of this.#sharedOf(group, params)) {
      const count = shared.carried.step.add(1);
      const t = count.to("float64"), lr = group.lrTensor.to("float64");
      const values = this.scalars(group, t, lr, shared.carried);
      const old = Object.entries(shared.carried).map(([name, x]) =>
        [name, x.to("float64")] as const
      );
      const next = shared.assign({ ...values, step: count });
      changed.push(...next.changed);
      const all = [...old, ...Object.entries(next.derived)];
      for (const p of members) {
        const cast = all.map(([name, x]) => [name, x.to(p.dtype)]);
        changed.push(...this.change(p, group, this.stateOf(p), Object.fromEntries(cast)));
      }
    }
    return changed;
  }

  /** The parameters by their scalars. Those that now step without others that they used to step with get a set of their own. */
  #sharedOf(group: ParamGroup<O>, params: readonly Tensor[]): Map<SharedScalars, Tensor[]> {
    const found = new Map<SharedScalars, Tensor[]>(), sizes = new Map<SharedScalars, number>();
    let fresh: SharedScalars | undefined;
    const make = (device: string) => {
      const start = Object.entries(this.initialScalars(group));
      return new SharedScalars(Object.fromEntries(start.map(([n, x]) => [n, scalar(x, device)])));
    };
    for (const p of params) {
      const shared = this.#shared.get(p) ?? (fresh ??= make(p.device));
      this.#shared.set(p, shared);
      const members = found.get(shared);
      if (members === undefined) found.set(shared, [p]);
      else members.push(p);
    }
    for (const shared of this.#shared.values()) sizes.set(shared, (sizes.get(shared) ?? 0) + 1);
    for (const [shared, members] of [...found]) {
      if (sizes.get(shared) === members.length) continue;
      const own = shared.split();
      found.delete(shared);
      found.set(own, members);
      for (const p of members) this.#shared.set(p, own);
    }
    for (const [shared, members] of found) {
      for (const p of members) Object.assign(this.stateOf(p), shared.carried);
    }
    return found;
  }

  /** What a tensor of the state looks like. */
  protected override stateForm(p: Tensor, key: string): StateForm {
    const isScalar = key in this.initialScalars(this.paramGroups[0]);
    return isScalar ? { shape: [], dtype: "float32" } : super.stateForm(p, key);
  }

  /** Counts on from the loaded state. */
  protected override stateLoaded(): void {
    this.#shared.clear();
    for (const group of this.paramGroups) {
      const start = Object.entries(this.initialScalars(group));
      const byValues = new Map<string, SharedScalars>();
      for (const p of group.params) {
        const state = this.state.get(p);
        if (state?.step === undefined) continue;
        const own = Object.fromEntries(
          start.map(([name, x]) => [name, state[name] ?? scalar(x, p.device)]),
        );
        const key = Object.values(own).map((t) => t.item()).join();
        let shared = byValues.get(key);
        if (shared === undefined) byValues.set(key, shared = new SharedScalars(own));
        Object.assign(state, shared.carried);
        this.#shared.set(p, shared);
      }
    }
  }
}

/** `beta ** t` in float64, of one of a group's betas. */
export function betaPower<O extends OptimizerOptions>(
  group: ParamGroup<O>,
  index: number,
  t: Tensor,
): Tensor {
  const beta = group.value("betas", "float64", index);
  const base = typeof beta === "number"
    ? full([], beta, { dtype: "float64", device: t.device })
    : beta;
  return base.pow(t);
}

/** `1 - lr * weightDecay` in float64: what is left of a parameter when the decay is apart from the gradient. */
export function decayFactor<O extends OptimizerOptions>(group: ParamGroup<O>, lr: Tensor): Tensor {
  return lr.mul(group.value("weightDecay", "float64")).neg().add(1);
}
