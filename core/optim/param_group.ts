/** Parameters that share options, with the learning rate and whatever a scheduler moves on the device. */
import { keep, type Numeric, type Tensor, tensor } from "../tensor/mod.ts";
import type { DType } from "../dtype.ts";

/** Options that every optimizer has. */
export interface OptimizerOptions {
  /** Learning rate: a step's length in units of the update. */
  readonly lr: number;
  /** Whether to climb instead of to descend; false by default. */
  readonly maximize?: boolean;
}

/** One group as a constructor takes it: parameters, and options that differ from the optimizer's. */
export type ParamGroupInput<O extends OptimizerOptions> = Partial<O> & {
  readonly params: Iterable<Tensor>;
};

/** What optimizers take as their first argument. */
export type Params<O extends OptimizerOptions> = Iterable<Tensor> | Iterable<ParamGroupInput<O>>;

/** A numeric option: a number, or a list of them such as `betas`. */
export type ScheduledValue = number | readonly number[];

/** Parameters with their options. */
export class ParamGroup<O extends OptimizerOptions = OptimizerOptions> {
  /** The parameters. */
  readonly params: readonly Tensor[];
  /** The options in force. They are part of the kernels; what changes between captured steps goes through {@linkcode ParamGroup.schedule}. */
  options: Readonly<Omit<Required<O>, "lr">>;
  /** The learning rate on the device, 0-d float32; what `step()` reads. */
  readonly lrTensor: Tensor;
  /** Learning rate that a scheduler started from. */
  initialLr: number | undefined;
  #lr: number;
  readonly #scheduled: Map<string, Tensor[]> = new Map();

  /**
   * Makes a group; its learning rate goes to the device.
   * @param params The parameters, all on one device
   * @param options All options
   */
  constructor(params: readonly Tensor[], options: Required<O>) {
    const { lr, ...rest } = options;
    this.params = params;
    this.options = rest;
    this.#lr = lr;
    this.lrTensor = this.#scalar(lr);
  }

  #scalar(value: number): Tensor {
    const { device } = this.params[0] ?? {};
    return keep(tensor(value, { dtype: "float32", device }).realize());
  }

  /** Learning rate. Setting it writes it to the device, where captured steps see it. */
  get lr(): number {
    return this.#lr;
  }

  /** @throws {RangeError} When it is negative or no number */
  set lr(lr: number) {
    if (!(lr >= 0)) {
      throw new RangeError(`Cannot set the learning rate to ${lr}: it must be at least 0`);
    }
    if (lr === this.#lr) return;
    this.#lr = lr;
    this.lrTensor.copy_([lr]);
  }

  /** Value of an option: `lr`, a number, or a list of numbers such as `betas`; undefined when the optimizer has no such option. */
  get(name: string): ScheduledValue | undefined {
    if (name === "lr") return this.#lr;
    const value = (this.options as Readonly<Record<string, unknown>>)[name];
    return typeof value === "number" || Array.isArray(value) ? value as ScheduledValue : undefined;
  }

  /**
   * Puts a numeric option on the device, so that steps captured from now on see later changes of it.
   *
   * @throws {RangeError} When the group has no such numeric option
   */
  schedule(name: string): void {
    if (name === "lr" || this.#scheduled.has(name)) return;
    const value = this.get(name);
    if (value === undefined) {
      const known = Object.keys(this.options).filter((k) => this.get(k) !== undefined);
      throw new RangeError(
        `Cannot schedule ${name}: it is none of the group's numbers lr, ${known.join(", ")}`,
      );
    }
    this.#scheduled.set(name, [value].flat().map((x) => this.#scalar(x)));
  }

  /**
   * Changes a numeric option, on the device too. Steps captured before the option was first scheduled keep the old value.
   *
   * @throws {RangeError} When the group has no such numeric option, or the number of values differs
   */
  set(name: string, value: ScheduledValue): void {
    if (name === "lr") {
      this.lr = value as number;
      return;
    }
    this.schedule(name);
    const held = this.#scheduled.get(name)!, values = [value].flat();
    if (held.length !== values.length || values.some((x) => typeof x !== "number")) {
      throw new RangeError(`Cannot set ${name} to ${value}: it takes ${held.length} numbers`);
    }
    const old = [this.get(name)!].flat();
    this.options = { ...this.options, [name]: value };
    held.forEach((t, i) => values[i] !== old[i] && t.copy_([values[i]]));
  }

  /** Whether an option lies on the device, as {@linkcode ParamGroup.schedule} puts it. */
  isScheduled(name: string): boolean {
    return this.#scheduled.has(name);
  }

  /** Whether an option is 0 and stays so: kernels then leave out what it scales. */
  isZero(name: string): boolean {
    return this.get(name) === 0 && !this.#scheduled.has(name);
  }

  /**
   * An option as kernels take it: a plain number, or a 0-d tensor once it is scheduled.
   *
   * @param name The option
   * @param dtype dtype of the tensor
   * @param index Which number of a list
   */
  value(name: string, dtype: DType, index: number = 0): Numeric {
    const held = this.#scheduled.get(name);
    return held === undefined ? [this.get(name)!].flat()[index] : held[index].to(dtype);
  }

  /** Takes over other options, on the device too. */
  replace(options: Required<O>): void {
    const { lr, ...rest } = options;
    this.lr = lr;
    this.options = rest;
    for (const [name, held] of this.#scheduled) {
      const values = [this.get(name)!].flat();
      held.forEach((t, i) => t.copy_([values[i]]));
    }
  }
}

/** `1 - x`. */
export function oneMinus(x: Numeric): Numeric {
  return typeof x === "number" ? 1 - x : x.neg().add(1);
}
