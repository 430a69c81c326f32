/** The base of optimizers: one class, whose groups, state and update are private to each other. */
import { type DType, isFloat } from "../dtype.ts";
import { suspendAutocast } from "../amp/state.ts";
import type { Shape } from "../shape.ts";
import { full, keep, noGrad, realize, Tensor } from "../tensor/mod.ts";
import { guardAssigns, type StepGuard } from "./guard.ts";
import { LowStorage, type StorageOptions } from "./low_storage.ts";
import {
  type OptimizerOptions,
  ParamGroup,
  type ParamGroupInput,
  type Params,
} from "./param_group.ts";
import { camel, type OptimizerStateDict, type OptionValue, snake } from "./state_dict.ts";

/** State of one parameter: tensors by name. */
export type ParamState = Record<string, Tensor>;

/** Shape and dtype that a remembered tensor has. */
export interface StateForm {
  /** Sizes. */
  readonly shape: Shape;
  /** Element type. */
  readonly dtype: DType;
}

/** Checks of one option: whether a value is allowed, and what is. */
export type OptionCheck = readonly [isValid: (value: never) => boolean, wanted: string];

/** A check that numbers are not negative. */
export const notNegative: OptionCheck = [(x: number) => x >= 0, "at least 0"];
/** A check that a number is a share. */
export const share: OptionCheck = [(x: number) => x >= 0 && x <= 1, "from 0 to 1"];
/** A check that a pair of numbers lies in [0, 1). */
export const unitPair: OptionCheck = [
  (x: readonly number[]) => x.length === 2 && x.every((b) => b >= 0 && b < 1),
  "two numbers from 0 up to but not including 1",
];

/**
 * Changes parameters by their gradients. A subclass says how one group changes; `step()` computes everything in one plan, without reading
 * anything back, so that it can be captured. Changes and states are lazy in-place assignments.
 */
export abstract class Optimizer<O extends OptimizerOptions = OptimizerOptions> {
  /** Parameters with their options, in the order they were added. */
  readonly paramGroups: ParamGroup<O>[] = [];
  /** What is remembered for each parameter. */
  readonly state: Map<Tensor, ParamState> = new Map();
  /** Options that groups do not override. */
  readonly defaults: Required<O>;
  readonly #checks: Readonly<Record<string, OptionCheck>>;

  /**
   * Checks the options and adds the groups.
   * @param params Parameters, or groups of them with options of their own
   * @param defaults All options
   * @param checks What is allowed for each option
   * @throws {RangeError} When an option is out of range
   * @throws {TypeError} When there are no parameters, or something else among them
   */
  constructor(
    params: Params<O>,
    defaults: Required<O>,
    checks: Readonly<Record<string, OptionCheck>>,
  ) {
    this.defaults = defaults;
    this.#checks = { lr: notNegative, ...checks };
    this.#check(defaults);
    const items = [...params];
    if (items.length === 0) {
      throw new TypeError(`Cannot make ${this.name} of an empty parameter list`);
    }
    const groups = items[0] instanceof Tensor ? [{ params: items as Tensor[] }] : items;
    for (const group of groups) this.addParamGroup(group as ParamGroupInput<O>);
  }

  /** Name for people. */
  get name(): string {
    return this.constructor.name;
  }

  /**
   * Adds parameters, with options of their own where given.
   *
   * @throws {RangeError} When an option is out of range
   * @throws {TypeError} When a parameter is there already, or is no float tensor that collects gradients itself
   */
  addParamGroup(group: ParamGroupInput<O>): void {
    const { params, ...own } = group;
    if (params === undefined || typeof params[Symbol.iterator] !== "function") {
      throw new TypeError(`Cannot add a parameter group without params to ${this.name}`);
    }
    const list = [...params], known = new Set(this.paramGroups.flatMap((g) => g.params));
    list.forEach((p, i) => {
      if (!(p instanceof Tensor)) {
        throw new TypeError(`Cannot optimize item ${i}: it is ${typeof p}, not a tensor`);
      }
      if (!p.isLeaf || !isFloat(p.dtype)) {
        const what = p.isLeaf ? p.dtype : "computed from others";
        throw new TypeError(
          `Cannot optimize item ${i}, [${p.shape.join(", ")}]: it is ${what}, not a float leaf`,
        );
      }
      if (known.has(p)) {
        throw new TypeError(
          `Cannot optimize item ${i}, [${p.shape.join(", ")}], twice: it is in the optimizer`,
        );
      }
      known.add(p);
    });
    const options = { ...this.defaults, ...defined(own) } as Required<O>;
    this.#check(options);
    this.paramGroups.push(new ParamGroup<O>(list, options));
  }

  #check(options: Readonly<Record<string, unknown>> | Required<O>): void {
    for (const [key, [isValid, wanted]] of Object.entries(this.#checks)) {
      const value = (options as Record<string, never>)[key];
      if (!isValid(value)) {
        throw new RangeError(`Cannot make ${this.name} with ${key} ${value}: it must be ${wanted}`);
      }
    }
    this.checkOptions(options as Required<O>);
  }

  /** Checks that concern several options. Does nothing here. */
  protected checkOptions(_options: Required<O>): void {}

  /**
   * Assigns new values to the parameters of a group and to what is remembered for them.
   *
   * @param group The group
   * @param params Those of its parameters that have a gradient
   * @returns Everything assigned
   */
  protected abstract update(group: ParamGroup<O>, params: readonly Tensor[]): Tensor[];

  /**
   * Changes every parameter that has a gradient. Gradients and new values are computed in one plan.
   *
   * @param closure Computes the loss and its gradients, called first when given
   * @param guard Of a loss scaler: whether the step counts
   * @returns What the closure returned
   */
  step(closure?: () => Tensor, guard: StepGuard = {}): Tensor | undefined {
    const loss = closure?.();
    this.guard = guard;
    try {
      noGrad(() => suspendAutocast(() => this.#change(guard)));
    } finally {
      // Also after an error: the next step may be one without a scaler.
      this.guard = {};
    }
    return loss;
  }

  #change(guard: StepGuard): void {
    const changed: Tensor[] = [];
    for (const group of this.paramGroups) {
      const params = group.params.filter((p) => p.grad !== undefined);
      if (params.length === 0) continue;
      const low = this.#low;
      if (low !== undefined) this.#showLow(low, params);
      const updated = this.update(group, params);
      low?.settle();
      if (guard.skip !== undefined) this.#skipWhere(guard.skip, updated, params);
      changed.push(...params.map((p) => p.grad!), ...updated);
    }
    if (guard.skip !== undefined) changed.push(guard.skip);
    realize(...changed);
  }

  /**
   * Says how parameters and state are stored; before the first step, or before a state is loaded.
   *
   * @param options dtype of the state, and whether bfloat16 is rounded by chance
   * @returns This optimizer
   * @throws {TypeError} When the state's dtype is no float
   * @throws {RangeError} When there is a state already
   */
  setStorage(options: StorageOptions): this {
    const { stateDtype, stochasticRounding = false } = options;
    if (stateDtype !== undefined && !isFloat(stateDtype)) {
      throw new TypeError(
        `Cannot store the state of ${this.name} in ${stateDtype}: it must be a float`,
      );
    }
    if (this.state.size > 0) {
      throw new RangeError(`Cannot change the storage of ${this.name}: it has a state already`);
    }
    this.#stateDtype = stateDtype;
    this.#low = stochasticRounding || stateDtype !== undefined
      ? new LowStorage(stochasticRounding)
      : undefined;
    return this;
  }

  #low: LowStorage | undefined;
  #stateDtype: DType | undefined;

  #showLow(low: LowStorage, params: readonly Tensor[]): void {
    for (const p of params) {
      if (p.grad!.dtype !== "float64") p.grad = p.grad!.to("float32");
      low.show(p);
      for (const t of Object.values(this.state.get(p) ?? {})) low.show(t);
    }
  }

  /** What decides about the step being made. */
  protected guard: StepGuard = {};

  /** Makes changes of parameters and their state conditional; what else was assigned belongs to this step alone. */
  #skipWhere(skip: Tensor, updated: readonly Tensor[], params: readonly Tensor[]): void {
    const lasting = new Set(params);
    for (const p of params) {
      for (const t of Object.values(this.state.get(p) ?? {})) lasting.add(t);
    }
    guardAssigns([...new Set(updated)].filter((t) => lasting.has(t)), skip);
  }

  /** Forgets the gradients, or makes them zero. */
  zeroGrad(setToNone: boolean = true): void {
    for (const { params } of this.paramGroups) {
      for (const p of params) {
        if (setToNone) p.grad = undefined;
        else p.grad?.zero_();
      }
    }
  }

  /** The gradient to descend along. */
  protected gradientOf(p: Tensor, group: ParamGroup<O>): Tensor {
    return group.options.maximize ? p.grad!.neg() : p.grad!;
  }

  /** State of a parameter, empty at first. */
  protected stateOf(p: Tensor): ParamState {
    let state = this.state.get(p);
    if (state === undefined) this.state.set(p, state = {});
    return state;
  }

  /** The gradient with the weight decay in it, as L2 regularisation gives it. */
  protected decayedGradient(p: Tensor, group: ParamGroup<O>): Tensor {
    const g = this.gradientOf(p, group);
    if (group.isZero("weightDecay")) return g;
    return g.add(p.mul(group.value("weightDecay", p.dtype)));
  }

  /** A kept tensor of one value, by default of zeros like `p`. */
  protected newState(p: Tensor, value: number = 0, shape: Shape = p.shape): Tensor {
    const dtype = this.#stateDtype ?? p.dtype;
    const made = keep(full(shape, value, { dtype, device: p.device }).realize());
    this.#low?.show(made);
    return made;
  }

  /** What a tensor of the state looks like: like the parameter, the step count apart. */
  protected stateForm(p: Tensor, key: string): StateForm {
    if (key === "step") return { shape: [], dtype: "float32" };
    return { shape: p.shape, dtype: this.#stateDtype ?? p.dtype };
  }

  /** State in PyTorch's layout. Tensors are the optimizer's own, not copies. */
  stateDict(): OptimizerStateDict {
    const index = new Map(this.paramGroups.flatMap((g) => g.params).map((p, i) => [p, i]));
    const state: OptimizerStateDict["state"] = {};
    for (const [p, i] of index) {
      const own = this.state.get(p);
      if (own === undefined) continue;
      state[i] = Object.fromEntries(Object.entries(own).map(([key, t]) => [snake(key), t]));
    }
    const groups = this.paramGroups.map((g) => ({
      ...Object.fromEntries(
        Object.entries({ lr: g.lr, initialLr: g.initialLr, ...g.options })
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [snake(key), value as OptionValue]),
      ),
      params: g.params.map((p) => index.get(p)!),
    }));
    return { state, param_groups: groups };
  }

  /**
   * Takes over options and state, copied and cast to the dtypes of the parameters.
   *
   * @throws {RangeError} When numbers of groups or parameters differ, or an option is out of range
   * @throws {TypeError} When a state tensor has another shape than its parameter
   */
  loadStateDict(dict: OptimizerStateDict): void {
    const { paramGroups } = this, { param_groups: groups, state } = dict;
    if (groups.length !== paramGroups.length) {
      throw new RangeError(
        `Cannot load the state: it has ${groups.length} parameter groups, and ${this.name} has ${paramGroups.length}`,
      );
    }
    const targets = new Map<number, Tensor>(), options: Required<O>[] = [];
    groups.forEach((g, i) => {
      const { params } = paramGroups[i];
      if (g.params.length !== params.length) {
        throw new RangeError(
          `Cannot load the state: group ${i} has ${g.params.length} parameters, and ${params.length} here`,
        );
      }
      g.params.forEach((id, j) => targets.set(Number(id), params[j]));
      const own = Object.entries(g).map(([key, value]) => [camel(key), value]);
      const known = own.filter(([key]) => Object.hasOwn(this.defaults, key as string));
      options.push({ ...this.defaults, ...paramGroups[i].options, ...Object.fromEntries(known) });
      this.#check(options[i]);
    });
    const loaded = new Map<Tensor, ParamState>();
    for (const [id, tensors] of Object.entries(state)) {
      const p = targets.get(Number(id));
      if (p === undefined) {
        throw new RangeError(`Cannot load the state: it names parameter ${id}, which no group has`);
      }
      loaded.set(p, this.#copyState(p, id, tensors));
    }
    this.state.clear();
    for (const [p, own] of loaded) this.state.set(p, own);
    groups.forEach((g, i) => {
      paramGroups[i].replace(options[i]);
      paramGroups[i].initialLr = g.initial_lr as number | undefined;
    });
    this.stateLoaded();
  }

  #copyState(p: Tensor, id: string, tensors: Readonly<Record<string, Tensor>>): ParamState {
    const own: ParamState = {};
    for (const [key, t] of Object.entries(tensors)) {
      const { shape, dtype } = this.stateForm(p, camel(key));
      if (`${t.shape}` !== `${shape}`) {
        const wanted = shape === p.shape ? "the parameter" : "and it must be";
        throw new TypeError(
          `Cannot load the state: ${key} of parameter ${id} is [${
            t.shape.join(", ")
          }], ${wanted} [${shape.join(", ")}]`,
        );
      }
      const { device } = p;
      own[camel(key)] = noGrad(() =>
        keep(full(shape, 0, { dtype, device }).realize().copy_(t.to(device).to(dtype)).realize())
      );
    }
    return own;
  }

  /** Called after a state has been loaded. Does nothing here. */
  protected stateLoaded(): void {}

  /** Options of every group, for people. */
  toString(): string {
    const lines = this.paramGroups.map((g, i) => {
      const options = Object.entries({ lr: g.lr, ...g.options }).map(([key, value]) =>
        `${key}=${value}`
      );
      return `  group ${i}: ${g.params.length} parameters, ${options.join(", ")}`;
    });
    return `${this.name}(\n${lines.join("\n")}\n)`;
  }
}

function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, x]) => x !== undefined)) as Partial<
    T
  >;
}
