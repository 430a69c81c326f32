/** Modules under names. */
import { checkModule } from "./containers.ts";
import { entriesOf, missingKey } from "./keyed.ts";
import { Module } from "./module.ts";

/**
 * Modules under names, which are their keys: `encoder.weight`. It computes nothing itself.
 *
 * ```ts ignore
 * const heads = new nn.ModuleDict({ price: new nn.Linear(8, 1), kind: new nn.Linear(8, 5) });
 * const y = heads.get("kind").forward(x);
 * ```
 */
export class ModuleDict<M extends Module = Module> extends Module {
  readonly #items: Map<string, M> = new Map();

  /**
   * Keeps modules in the order given.
   * @param modules An object, or pairs of name and module
   * @throws {TypeError} When a name is empty or has a dot, or a value is no module
   */
  constructor(modules: Readonly<Record<string, M>> | Iterable<readonly [string, M]> = {}) {
    super();
    this.update(modules);
  }

  /** The fields of a module, and the children by name. */
  protected override fields(): [string, unknown][] {
    return [...super.fields(), ...this.#items];
  }

  /** Replaces each child by what `fn` gives for it. */
  override mapChildren(fn: (child: Module, name: string) => Module): void {
    super.mapChildren(fn);
    for (const [name, child] of this.#items) this.#items.set(name, fn(child, name) as M);
  }

  /** Number of modules. */
  get size(): number {
    return this.#items.size;
  }

  /** Whether there is a module of that name. */
  has(name: string): boolean {
    return this.#items.has(name);
  }

  /**
   * The module of that name.
   * @throws {RangeError} When there is none
   */
  get(name: string): M {
    return this.#items.get(name) ?? missingKey("ModuleDict", name, this.#items.keys());
  }

  /**
   * Adds a module, or replaces the one of that name in its place.
   * @throws {TypeError} When the name is empty or has a dot, or the value is no module
   */
  set(name: string, module: M): this {
    return this.update([[name, module]]);
  }

  /**
   * Adds and replaces several.
   * @throws {TypeError} When a name is empty or has a dot, or a value is no module; nothing is changed then
   */
  update(modules: Readonly<Record<string, M>> | Iterable<readonly [string, M]>): this {
    const entries = entriesOf("ModuleDict", modules);
    for (const [name, module] of entries) checkModule(module, name);
    for (const [name, module] of entries) this.#items.set(name, module);
    return this;
  }

  /**
   * Takes a module out and returns it.
   * @throws {RangeError} When there is none of that name
   */
  pop(name: string): M {
    const module = this.get(name);
    this.#items.delete(name);
    return module;
  }

  /** Takes all modules out. */
  clear(): void {
    this.#items.clear();
  }

  /** The names in order. */
  keys(): IterableIterator<string> {
    return this.#items.keys();
  }

  /** The modules in order. */
  values(): IterableIterator<M> {
    return this.#items.values();
  }

  /** Names and modules in order. */
  entries(): IterableIterator<[string, M]> {
    return this.#items.entries();
  }

  /** Names and modules in order. */
  [Symbol.iterator](): IterableIterator<[string, M]> {
    return this.entries();
  }

  /**
   * Not meant to be called.
   * @throws {TypeError} Always: call the modules in it instead
   */
  override forward(): never {
    throw new TypeError(
      "Cannot call a ModuleDict: call its modules in the forward of the module that holds it",
    );
  }
}
