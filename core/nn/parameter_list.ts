/** Parameters in lists and under names. */
import { Parameter } from "../tensor/mod.ts";
import { entriesOf, missingKey } from "./keyed.ts";
import { Module } from "./module.ts";

/** `Parameter [2, 3] float32`, a line for each, as printed models show them. */
function describe(name: string, entries: Iterable<readonly [string, Parameter]>): string {
  const lines = [...entries].map(([key, p]) =>
    `\n  (${key}): Parameter [${p.shape.join(", ")}] ${p.dtype}`
  );
  return lines.length === 0 ? `${name}()` : `${name}(${lines.join("")}\n)`;
}

function checkParameter(value: unknown, at: number | string): void {
  if (value instanceof Parameter) return;
  throw new TypeError(
    `Cannot use item ${at} as a parameter: it is ${
      value === null ? "null" : typeof value === "object" ? value?.constructor.name : typeof value
    }, not a Parameter`,
  );
}

/** What {@linkcode ParameterList} and {@linkcode ParameterDict} share: parameters with keys of their own. */
export abstract class ParameterContainer extends Module {
  /** The parameters in order. An array under this name is what casts replace. */
  protected readonly items: Parameter[] = [];

  /** The keys of the parameters, in their order. */
  protected abstract names(): readonly string[];

  /** The parameters by key. */
  protected override fields(): [string, unknown][] {
    const others = super.fields().filter(([, value]) => value !== this.items);
    return [...others, ...this.pairs()];
  }

  /** Keys and parameters. */
  protected pairs(): [string, Parameter][] {
    return this.names().map((name, i) => [name, this.items[i]]);
  }

  /**
   * Not meant to be called.
   * @throws {TypeError} Always: use the parameters in it instead
   */
  override forward(): never {
    throw new TypeError(
      `Cannot call a ${this.constructor.name}: use its parameters in the forward of the module that holds it`,
    );
  }

  /** The parameters with their shapes. */
  override toString(): string {
    return describe(this.constructor.name, this.pairs());
  }
}

/** Parameters in an array, under the keys `0`, `1` and so on. */
export class ParameterList extends ParameterContainer {
  /**
   * Keeps parameters in order.
   * @param parameters The parameters
   * @throws {TypeError} When an item is no parameter
   */
  constructor(parameters: Iterable<Parameter> = []) {
    super();
    this.extend(parameters);
  }

  /** The places as text. */
  protected override names(): readonly string[] {
    return this.items.map((_, i) => `${i}`);
  }

  /** Number of parameters. */
  get length(): number {
    return this.items.length;
  }

  /**
   * The parameter at `index`; negative counts from the end.
   * @throws {RangeError} When there is none
   */
  at(index: number): Parameter {
    const found = this.items.at(index);
    if (found !== undefined) return found;
    throw new RangeError(
      `Cannot take parameter ${index} of ${this.constructor.name}: it has ${this.length}`,
    );
  }

  /**
   * Replaces the parameter at `index`.
   * @throws {RangeError} When there is none
   */
  set(index: number, parameter: Parameter): this {
    this.at(index);
    checkParameter(parameter, index);
    this.items[index < 0 ? index + this.length : index] = parameter;
    return this;
  }

  /**
   * Adds a parameter at the end.
   * @throws {TypeError} When it is none
   */
  append(parameter: Parameter): this {
    return this.extend([parameter]);
  }

  /**
   * Adds parameters at the end.
   * @throws {TypeError} When an item is no parameter; nothing is added then
   */
  extend(parameters: Iterable<Parameter>): this {
    const more = [...parameters];
    more.forEach((p, i) => checkParameter(p, this.length + i));
    this.items.push(...more);
    return this;
  }

  /** The parameters in order. */
  [Symbol.iterator](): IterableIterator<Parameter> {
    return this.items[Symbol.iterator]();
  }
}

/** Parameters under names, which are their keys. */
export class ParameterDict extends ParameterContainer {
  readonly #names: string[] = [];

  /**
   * Keeps parameters by name.
   * @param parameters An object, whose names are sorted as PyTorch sorts those of a plain dict, or pairs in their order
   * @throws {TypeError} When a name is empty or has a dot, or a value is no parameter
   */
  constructor(
    parameters: Readonly<Record<string, Parameter>> | Iterable<readonly [string, Parameter]> = {},
  ) {
    super();
    this.update(parameters);
  }

  /** The names in order. */
  protected override names(): readonly string[] {
    return this.#names;
  }

  /** Number of parameters. */
  get size(): number {
    return this.items.length;
  }

  /** Whether there is a parameter of that name. */
  has(name: string): boolean {
    return this.#names.includes(name);
  }

  /**
   * The parameter of that name.
   * @throws {RangeError} When there is none
   */
  get(name: string): Parameter {
    return this.items[this.#names.indexOf(name)] ??
      missingKey("ParameterDict", name, this.#names);
  }

  /**
   * Adds a parameter, or replaces the one of that name in its place.
   * @throws {TypeError} When the name is empty or has a dot, or the value is no parameter
   */
  set(name: string, parameter: Parameter): this {
    return this.update([[name, parameter]]);
  }

  /**
   * Adds and replaces several.
   * @param parameters An object, whose names are sorted, or pairs in their order
   * @throws {TypeError} When a name is empty or has a dot, or a value is no parameter; nothing is changed then
   */
  update(
    parameters: Readonly<Record<string, Parameter>> | Iterable<readonly [string, Parameter]>,
  ): this {
    const entries = entriesOf("ParameterDict", parameters);
    for (const [name, p] of entries) checkParameter(p, name);
    if (!(Symbol.iterator in parameters)) entries.sort(([a], [b]) => a < b ? -1 : 1);
    for (const [name, p] of entries) {
      const at = this.#names.indexOf(name);
      this.items[at < 0 ? this.#names.push(name) - 1 : at] = p;
    }
    return this;
  }

  /**
   * Takes a parameter out and returns it.
   * @throws {RangeError} When there is none of that name
   */
  pop(name: string): Parameter {
    const found = this.get(name), at = this.#names.indexOf(name);
    this.#names.splice(at, 1);
    this.items.splice(at, 1);
    return found;
  }

  /** Takes all parameters out. */
  clear(): void {
    this.#names.length = 0;
    this.items.length = 0;
  }

  /** The names in order. */
  keys(): IterableIterator<string> {
    return this.#names[Symbol.iterator]();
  }

  /** The parameters in order. */
  values(): IterableIterator<Parameter> {
    return this.items[Symbol.iterator]();
  }

  /** Names and parameters in order. */
  entries(): IterableIterator<[string, Parameter]> {
    return this.pairs()[Symbol.iterator]();
  }

  /** Names and parameters in order. */
  [Symbol.iterator](): IterableIterator<[string, Parameter]> {
    return this.entries();
  }
}
