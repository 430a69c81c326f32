/** Modules that hold modules. */
import type { Tensor } from "../tensor/mod.ts";
import { Module } from "./module.ts";

/** What {@linkcode Sequential} and {@linkcode ModuleList} share: numbered children. */
export abstract class NumberedModules<M extends Module> extends Module {
  readonly #items: M[];

  /** Checks and keeps the modules. */
  constructor(items: readonly M[]) {
    super();
    items.forEach(checkModule);
    this.#items = [...items];
  }

  /** The fields of a module, and the children by number. */
  protected override fields(): [string, unknown][] {
    return [...super.fields(), ...this.#items.map((m, i): [string, unknown] => [`${i}`, m])];
  }

  /** Replaces each module by what `fn` gives for it. */
  override mapChildren(fn: (child: Module, name: string) => Module): void {
    super.mapChildren(fn);
    this.#items.forEach((m, i) => this.#items[i] = fn(m, `${i}`) as M);
  }

  /** Number of modules. */
  get length(): number {
    return this.#items.length;
  }

  /**
   * The module at `index`; negative counts from the end.
   *
   * @throws {RangeError} When there is none
   */
  at(index: number): M {
    const module = this.#items.at(index);
    if (module === undefined) {
      throw new RangeError(
        `Cannot take module ${index} of ${this.constructor.name}: it has ${this.length}`,
      );
    }
    return module;
  }

  /** Adds a module at the end. */
  append(module: M): this {
    checkModule(module, this.length);
    this.#items.push(module);
    return this;
  }

  /** Adds modules at the end. */
  extend(modules: Iterable<M>): this {
    const more = [...modules];
    more.forEach((m, i) => checkModule(m, this.length + i));
    this.#items.push(...more);
    return this;
  }

  /**
   * Puts a module before the one at `index`; negative counts from the end.
   *
   * @throws {RangeError} When the place is outside
   */
  insert(index: number, module: M): this {
    const at = index < 0 ? index + this.length : index;
    checkModule(module, index);
    if (!(Number.isInteger(at) && at >= 0 && at <= this.length)) {
      throw new RangeError(
        `Cannot insert at ${index} into ${this.constructor.name}: it has ${this.length}`,
      );
    }
    this.#items.splice(at, 0, module);
    return this;
  }

  /** The modules in order. */
  [Symbol.iterator](): IterableIterator<M> {
    return this.#items[Symbol.iterator]();
  }
}

/** @throws {TypeError} When a value is no module */
export function checkModule(value: unknown, index: number | string): void {
  if (!(value instanceof Module)) {
    throw new TypeError(
      `Cannot use item ${index} as a layer: it is ${describe(value)}, not a Module`,
    );
  }
}

const describe = (x: unknown): string =>
  typeof x === "function"
    ? `the class or function ${x.name}`
    : x === null
    ? "null"
    : typeof x === "object"
    ? `a ${x.constructor?.name ?? "plain object"}`
    : typeof x;

/**
 * Modules applied one after the other. Keys are positions: `0.weight`, `2.bias`.
 *
 * ```ts ignore
 * const model = new nn.Sequential(new nn.Linear(784, 128), new nn.ReLU(), new nn.Linear(128, 10));
 * ```
 */
export class Sequential extends NumberedModules<Module> {
  /**
   * Chains modules, numbered from 0.
   * @param modules In the order they are applied
   */
  constructor(...modules: Module[]) {
    super(modules);
  }

  /** Passes `x` through all modules. */
  override forward(x: Tensor): Tensor {
    for (const module of this) x = module.forward(x);
    return x;
  }
}

/** An array of modules whose parameters are found; it computes nothing itself. */
export class ModuleList<M extends Module = Module> extends NumberedModules<M> {
  /**
   * Lists modules, numbered from 0.
   * @param modules The modules, in order
   */
  constructor(modules: Iterable<M> = []) {
    super([...modules]);
  }

  /**
   * Not meant to be called.
   *
   * @throws {TypeError} Always: loop over the list instead
   */
  override forward(): never {
    throw new TypeError(
      "Cannot call a ModuleList: loop over it in the forward of the module that holds it",
    );
  }
}
