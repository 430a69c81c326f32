/** The base of layers and models: one class, whose members everything here walks. */
import { type DType, dtypes, isFloat } from "../dtype.ts";
import { keep, noGrad, Parameter, Tensor } from "../tensor/mod.ts";
import {
  type BackwardHook,
  type ForwardHook,
  type ForwardPreHook,
  type HookHandle,
  Hooks,
  runForward,
} from "./hooks.ts";
import { loadState, type LoadStateOptions, type LoadStateResult } from "./state.ts";

/** Named tensors, as `stateDict()` gives and `loadStateDict()` takes them. */
export type StateDict = Record<string, Tensor>;

/**
 * A layer or a model: a plain object whose fields hold parameters, buffers and other modules.
 *
 * Fields are found by their value: a {@linkcode Parameter}, a `Module`, or an array of these at any depth. The names of fields make the
 * keys of `stateDict()`, as in PyTorch: `fc1.weight`, `blocks.0.attention.bias`. Private `#fields` cannot be found; a plain tensor is state
 * only when passed through {@linkcode Module.registerBuffer}.
 *
 * ```ts ignore
 * class Net extends nn.Module {
 *   fc1 = new nn.Linear(784, 128);
 *   fc2 = new nn.Linear(128, 10);
 *   override forward(x: Tensor): Tensor {
 *     return this.fc2.forward(this.fc1.forward(x).relu());
 *   }
 * }
 * ```
 */
export abstract class Module {
  /** Whether the module is in training mode; set by {@linkcode Module.train} and {@linkcode Module.eval}. */
  training: boolean = true;
  readonly #buffers: Map<string, boolean> = new Map();
  readonly #hooks = new Hooks();

  /** Surrounds `forward` with hooks and with errors that name the module. */
  constructor() {
    const { forward } = this;
    Object.defineProperty(this, "forward", {
      value: (...inputs: unknown[]) => runForward(this, this.#hooks, forward, inputs),
      writable: true,
      configurable: true,
      enumerable: false,
    });
  }

  /** What the module computes. Subclasses state their own arguments and result. */
  // `any` is the only type that every subclass's own signature is assignable to.
  // deno-lint-ignore no-explicit-any
  abstract forward(...inputs: any[]): any;

  /** Same as `forward`, with the subclass's types. */
  call(...inputs: Parameters<this["forward"]>): ReturnType<this["forward"]> {
    return this.forward(...inputs);
  }

  /** Has a function called before every `forward`, with the inputs; what it returns replaces them. */
  registerForwardPreHook(hook: ForwardPreHook): HookHandle {
    return Hooks.add(this.#hooks.pre, hook);
  }

  /** Has a function called after every `forward`, with inputs and output; what it returns replaces the output. */
  registerForwardHook(hook: ForwardHook): HookHandle {
    return Hooks.add(this.#hooks.post, hook);
  }

  /** Has a function called in every backward pass through the module; see {@linkcode BackwardHook}. */
  registerFullBackwardHook(hook: BackwardHook): HookHandle {
    return Hooks.add(this.#hooks.backward, hook);
  }

  /** What stands between the brackets when the module is printed. */
  extraRepr(): string {
    return "";
  }

  /** Fields that may hold parameters and modules, under the names that their keys get. Containers add theirs. */
  protected fields(): [string, unknown][] {
    return Object.entries(this);
  }

  /**
   * Makes a tensor part of the module's state without training it, and stores it in the field `name`.
   *
   * @param name Name of the field and of its `stateDict()` key
   * @param tensor The value; it outlives step scopes
   * @param options `persistent` (default true): whether it appears in `stateDict()`
   * @returns The tensor, so that a field can be initialised with the call
   */
  registerBuffer(name: string, tensor: Tensor, options: { persistent?: boolean } = {}): Tensor {
    if (name === "" || name.includes(".")) {
      throw new TypeError(
        `Cannot register the buffer "${name}": a name is not empty and has no dot`,
      );
    }
    keep(tensor);
    this.#buffers.set(name, options.persistent ?? true);
    Object.defineProperty(this, name, {
      value: tensor,
      writable: true,
      enumerable: true,
      configurable: true,
    });
    return tensor;
  }

  /** Own parameters, buffers and children, each with its local name. */
  #members(): Members {
    const found: Members = { parameters: [], buffers: [], children: [] };
    const visit = (name: string, value: unknown) => {
      if (value instanceof Parameter) found.parameters.push([name, value]);
      else if (value instanceof Module) found.children.push([name, value]);
      else if (Array.isArray(value)) value.forEach((x, i) => visit(`${name}.${i}`, x));
      else if (value instanceof Tensor && this.#buffers.has(name)) {
        found.buffers.push([name, value, this.#buffers.get(name)!]);
      }
    };
    for (const [name, value] of this.fields()) visit(name, value);
    return found;
  }

  /** Direct children with their local names, in the order of the fields. */
  namedChildren(): [string, Module][] {
    return this.#members().children;
  }

  /** Direct children, in the order of the fields. */
  children(): Module[] {
    return this.namedChildren().map(([, child]) => child);
  }

  /** This module under `prefix` and all below it, each once, parents first. */
  namedModules(prefix: string = ""): [string, Module][] {
    const found = new Map<Module, string>();
    const visit = (module: Module, path: string) => {
      if (found.has(module)) return;
      found.set(module, path);
      for (const [name, child] of module.namedChildren()) visit(child, join(path, name));
    };
    visit(this, prefix);
    return [...found].map(([module, path]) => [path, module]);
  }

  /** This module and all below it, each once, parents first. */
  modules(): Module[] {
    return this.namedModules().map(([, module]) => module);
  }

  /** Parameters here and below with their full names; one that is shared appears once, under its first name. */
  namedParameters(): [string, Parameter][] {
    const found = new Map<Parameter, string>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, p] of module.#members().parameters) {
        if (!found.has(p)) found.set(p, join(path, name));
      }
    }
    return [...found].map(([p, name]) => [name, p]);
  }

  /** Parameters here and below, each once. */
  parameters(): Parameter[] {
    return this.namedParameters().map(([, p]) => p);
  }

  /** Buffers here and below with their full names, each once. */
  namedBuffers(): [string, Tensor][] {
    const found = new Map<Tensor, string>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, b] of module.#members().buffers) {
        if (!found.has(b)) found.set(b, join(path, name));
      }
    }
    return [...found].map(([b, name]) => [name, b]);
  }

  /** Buffers here and below, each once. */
  buffers(): Tensor[] {
    return this.namedBuffers().map(([, b]) => b);
  }

  /**
   * Parameters and persistent buffers by name, PyTorch's keys in PyTorch's order. The tensors are the module's own, not copies; what is
   * shared appears under each of its names.
   */
  stateDict(): StateDict {
    const state: StateDict = {};
    const visit = (module: Module, path: string, above: ReadonlySet<Module>) => {
      if (above.has(module)) return;
      const { parameters, buffers, children } = module.#members();
      for (const [name, p] of parameters) state[join(path, name)] = p;
      for (const [name, b, isPersistent] of buffers) if (isPersistent) state[join(path, name)] = b;
      for (const [name, child] of children) {
        visit(child, join(path, name), new Set([...above, module]));
      }
    };
    visit(this, "", new Set());
    return state;
  }

  /**
   * Copies values into parameters and buffers, casting to their dtypes. Nothing is changed when anything is wrong.
   *
   * @param state Tensors under the keys of {@linkcode Module.stateDict}
   * @param options `strict` (default true): whether missing and unexpected keys are errors
   * @returns The missing and the unexpected keys
   * @throws {TypeError} When keys are missing or unexpected (strict), or shapes differ (always); lists all of them
   */
  loadStateDict(state: Readonly<StateDict>, options: LoadStateOptions = {}): LoadStateResult {
    return loadState(this.constructor.name, this.stateDict(), state, options);
  }

  /** Puts this module and all below it into training mode, or out of it. */
  train(mode: boolean = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  /** Puts this module and all below it into evaluation mode. */
  eval(): this {
    return this.train(false);
  }

  /** Forgets the gradients of all parameters, or makes them zero. */
  zeroGrad(setToNone: boolean = true): void {
    for (const p of this.parameters()) clearGrad(p, setToNone);
  }

  /** Sets whether the parameters collect gradients. */
  requiresGrad_(requiresGrad: boolean = true): this {
    for (const p of this.parameters()) p.requiresGrad = requiresGrad;
    return this;
  }

  /** Calls `fn` on every module below, children first, and on this one. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  /**
   * Casts floating parameters and buffers. They become new tensors, so make the optimizer afterwards. Nothing moves to another device: modules lie where
   * they are made, see `setDefaultDevice`.
   *
   * @param dtype A floating dtype
   * @throws {TypeError} When `dtype` is none, or not floating
   */
  to(dtype: DType): this {
    if (!Object.hasOwn(dtypes, dtype) || !isFloat(dtype)) {
      // PyTorch's method moves too, which is what another string is mostly meant for.
      const hint = Object.hasOwn(dtypes, dtype) ? "" : ", and modules lie where they are made";
      throw new TypeError(`Cannot cast a module to ${dtype}: it must be a floating dtype${hint}`);
    }
    const cast = new Map<Tensor, Tensor>();
    const renew = (t: Tensor): Tensor => {
      if (!isFloat(t.dtype) || t.dtype === dtype) return t;
      let next = cast.get(t);
      if (next === undefined) {
        const value = noGrad(() => t.detach().to(dtype));
        next = t instanceof Parameter ? new Parameter(value, t.requiresGrad) : keep(value);
        cast.set(t, next.realize());
      }
      return next;
    };
    const replace = (holder: Record<string, unknown>, key: string, isBuffer: boolean) => {
      const value = holder[key];
      if (value instanceof Parameter || (isBuffer && value instanceof Tensor)) {
        holder[key] = renew(value);
      } else if (Array.isArray(value)) {
        const items = value as unknown as Record<string, unknown>;
        for (const i of value.keys()) replace(items, `${i}`, false);
      }
    };
    for (const module of this.modules()) {
      const holder = module as unknown as Record<string, unknown>;
      for (const key of Object.keys(module)) replace(holder, key, module.#buffers.has(key));
    }
    return this;
  }

  /** Replaces each direct child by what `fn` gives for it; the same module where nothing is to change. */
  mapChildren(fn: (child: Module, name: string) => Module): void {
    const replace = (holder: Record<string, unknown>, key: string, name: string) => {
      const value = holder[key];
      if (value instanceof Module) {
        const next = fn(value, name);
        if (next !== value) holder[key] = next;
      } else if (Array.isArray(value)) {
        const items = value as unknown as Record<string, unknown>;
        for (const i of value.keys()) replace(items, `${i}`, `${name}.${i}`);
      }
    };
    const holder = this as unknown as Record<string, unknown>;
    for (const key of Object.keys(this)) replace(holder, key, key);
  }

  /** The tree of modules, in the form of PyTorch's `print(model)`. */
  toString(): string {
    const children = this.namedChildren();
    const name = this.constructor.name, own = this.extraRepr();
    if (children.length === 0) return `${name}(${own})`;
    const lines = children.map(([key, child]) => `(${key}): ${child}`.replaceAll("\n", "\n  "));
    return `${name}(\n  ${[...(own === "" ? [] : [own]), ...lines].join("\n  ")}\n)`;
  }

  /** What `console.log` shows. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

interface Members {
  readonly parameters: [string, Parameter][];
  readonly buffers: [string, Tensor, boolean][];
  readonly children: [string, Module][];
}

const join = (path: string, name: string): string => path === "" ? name : `${path}.${name}`;

function clearGrad(p: Parameter, setToNone: boolean): void {
  if (setToNone) p.grad = undefined;
  else p.grad?.zero_();
}
