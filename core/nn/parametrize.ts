/**
 * Parameters that are computed from others: `module.weight` becomes the result of a function of `module.parametrizations.weight.original`, which is what
 * the optimizer sees. Keys of `stateDict()` are those of `torch.nn.utils.parametrize`.
 */
import { shapeText } from "../shape.ts";
import { noGrad, Parameter, Tensor } from "../tensor/mod.ts";
import { NumberedModules } from "./containers.ts";
import type { Module } from "./module.ts";
import { ModuleDict } from "./module_dict.ts";

/** A module whose `forward` computes a parameter from its originals. */
export interface Parametrization extends Module {
  /** The originals for a value: one tensor, or several for a `forward` of several. Without it the value is the original. */
  rightInverse?(value: Tensor): Tensor | readonly Tensor[];
}

/** Values computed inside {@linkcode cached}. */
let cache: Map<ParametrizationList, Tensor> | undefined;

/**
 * Computes a parameter as at rest, without effects.
 * @throws {TypeError} When the result differs in shape or dtype from `value`
 */
function checkStep(
  parametrization: Parametrization,
  value: Tensor,
  inputs: readonly Tensor[] = [value],
): Tensor {
  const { training } = parametrization;
  parametrization.eval();
  try {
    const made: Tensor = noGrad(() => parametrization.forward(...inputs));
    if (`${made.shape}` === `${value.shape}` && made.dtype === value.dtype) return made;
    throw new TypeError(
      `Cannot parametrize ${value.dtype} ${
        shapeText(value.shape)
      } by ${parametrization.constructor.name}: it gives ${made.dtype} ${
        shapeText(made.shape)
      }, not the same`,
    );
  } finally {
    parametrization.train(training);
  }
}

/** The parametrizations of one parameter in the order they are applied, and their originals: `original`, or `original0`, `original1` and so on. */
export class ParametrizationList extends NumberedModules<Parametrization> {
  /** Names of the originals' fields. */
  readonly #names: readonly string[];

  /**
   * Takes the originals from the value of a parameter.
   * @param parametrizations In the order they are applied
   * @param value The parameter so far; it is itself the original where no rightInverse makes another
   * @throws {TypeError} When a parametrization does not keep shape and dtype
   */
  constructor(parametrizations: readonly Parametrization[], value: Parameter) {
    super(parametrizations);
    const originals = this.#originalsFor(value), { requiresGrad } = value;
    this.#names = originals instanceof Tensor
      ? ["original"]
      : originals.map((_, i) => `original${i}`);
    const list = originals instanceof Tensor ? [originals] : originals;
    list.forEach((t, i) => {
      const own = t === value ? value : new Parameter(t, requiresGrad);
      (this as unknown as Record<string, Parameter>)[this.#names[i]] = own;
    });
    let made: Tensor | undefined;
    for (const p of this) made = checkStep(p, value, made === undefined ? this.originals : [made]);
  }

  /** What the parametrized parameter is computed from. */
  get originals(): readonly Parameter[] {
    const fields = this as unknown as Record<string, Parameter>;
    return this.#names.map((name) => fields[name]);
  }

  /** Whether the originals are several, numbered ones. */
  get isSplit(): boolean {
    return this.#names[0] !== "original";
  }

  #originalsFor(value: Tensor): Tensor | readonly Tensor[] {
    return noGrad(() => {
      let now: Tensor | readonly Tensor[] = value;
      for (const p of [...this].reverse()) {
        if (!(now instanceof Tensor)) {
          throw new TypeError(
            `Cannot parametrize by ${p.constructor.name} before another: only the first may take several originals`,
          );
        }
        now = p.rightInverse?.(now) ?? now;
      }
      return now;
    });
  }

  /** The parameter, computed from the originals. */
  override forward(): Tensor {
    const known = cache?.get(this);
    if (known !== undefined) return known;
    const [first, ...others] = this;
    let value: Tensor = first.forward(...this.originals);
    for (const p of others) value = p.forward(value);
    cache?.set(this, value);
    return value;
  }

  /**
   * Sets the originals so that the parameter becomes `value`, as far as the parametrizations' rightInverse can.
   * @throws {TypeError} When shapes differ
   */
  setValue(value: Tensor): void {
    const made = this.#originalsFor(value), list = made instanceof Tensor ? [made] : made;
    noGrad(() => this.originals.forEach((p, i) => p.copy_(list[i]).realize()));
  }
}

type Holder = Module & {
  parametrizations?: ModuleDict<ParametrizationList>;
  [name: string]: unknown;
};

/** The list behind a parametrized parameter. */
function listOf(module: Module, name: string): ParametrizationList | undefined {
  const { parametrizations } = module as Holder;
  return parametrizations instanceof ModuleDict && parametrizations.has(name)
    ? parametrizations.get(name)
    : undefined;
}

/**
 * Has a parameter computed by a module from now on. A second call on the same parameter puts its parametrization after the first.
 *
 * ```ts ignore
 * class Symmetric extends nn.Module {
 *   override forward(x: Tensor): Tensor {
 *     return x.triu().add(x.triu(1).T);
 *   }
 * }
 * nn.parametrize.registerParametrization(layer, "weight", new Symmetric());
 * layer.weight; // symmetric, computed from layer.parametrizations.weight.original
 * ```
 *
 * Make the optimizer afterwards: a parametrization may replace the parameter.
 *
 * @param module The module that holds the parameter
 * @param name Name of its field
 * @param parametrization Computes the parameter; `rightInverse`, when it has one, gives the originals for the present value
 * @returns The module
 * @throws {TypeError} When the field holds no parameter, or the result differs in shape or dtype; nothing is changed then
 */
export function registerParametrization<M extends Module>(
  module: M,
  name: string,
  parametrization: Parametrization,
): M {
  const holder = module as Module as Holder, known = listOf(module, name);
  if (known !== undefined) {
    checkStep(parametrization, known.forward());
    known.append(parametrization.train(module.training));
    return module;
  }
  const value = Object.getOwnPropertyDescriptor(module, name)?.value;
  if (!(value instanceof Parameter)) {
    throw new TypeError(
      `Cannot parametrize "${name}" of ${module.constructor.name}: it is ${
        value === undefined ? "not there" : "no Parameter"
      }`,
    );
  }
  const list = new ParametrizationList([parametrization], value);
  list.train(module.training);
  holder.parametrizations ??= new ModuleDict<ParametrizationList>();
  holder.parametrizations.set(name, list);
  // Not enumerable: the computed tensor is no state, and looking for state must not compute it.
  Object.defineProperty(module, name, {
    get: () => list.forward(),
    set: (next: Tensor) => list.setValue(next),
    enumerable: false,
    configurable: true,
  });
  return module;
}

/** Whether a module has parametrizations, or one of that name. */
export function isParametrized(module: Module, name?: string): boolean {
  return name === undefined
    ? (module as Holder).parametrizations instanceof ModuleDict
    : listOf(module, name) !== undefined;
}

/**
 * Makes a parametrized parameter a plain one again.
 *
 * @param module The module that holds it
 * @param name Name of its field
 * @param options `leaveParametrized` (default true): whether it keeps its computed value; the original returns otherwise
 * @returns The module
 * @throws {TypeError} When the parameter is not parametrized, or several originals should return as one
 */
export function removeParametrizations<M extends Module>(
  module: M,
  name: string,
  options: { readonly leaveParametrized?: boolean } = {},
): M {
  const holder = module as Module as Holder, list = listOf(module, name);
  if (list === undefined) {
    throw new TypeError(
      `Cannot remove the parametrization of "${name}" of ${module.constructor.name}: it has none`,
    );
  }
  const leave = options.leaveParametrized ?? true, [original] = list.originals;
  if (!leave && list.isSplit) {
    throw new TypeError(
      `Cannot return the original of "${name}" of ${module.constructor.name}: it has ${list.originals.length}`,
    );
  }
  const value = leave ? noGrad(() => list.forward().detach()) : original;
  let plain = original;
  if (list.isSplit) plain = new Parameter(value, original.requiresGrad);
  else if (leave) noGrad(() => original.copy_(value.clone()).realize());
  Object.defineProperty(module, name, {
    value: plain,
    writable: true,
    enumerable: true,
    configurable: true,
  });
  holder.parametrizations!.pop(name);
  if (holder.parametrizations!.size === 0) delete holder.parametrizations;
  return module;
}

/** Runs `fn`, in which every parametrized parameter is computed once, at its first use. */
export function cached<R>(fn: () => R): R {
  const before = cache;
  cache ??= new Map();
  try {
    return fn();
  } finally {
    cache = before;
  }
}
