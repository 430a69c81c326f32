/** How fixtures of PyTorch's sample databases reach this library: one adapter for each of PyTorch's names. */
import { Tensor } from "@pta/accelerated";

/** A slice object of Python. */
export interface Slice {
  readonly start: number | null;
  readonly stop: number | null;
  readonly step: number | null;
}

/** An argument of a sample. Python's None is null, a dtype its name, a tuple an array. */
export type Value =
  | Tensor
  | number
  | boolean
  | string
  | null
  | Slice
  | readonly Value[]
  | { readonly [key: string]: Value };

/** What an adapter gives back: in PyTorch's order, tensors or plain values. */
export type Output = Tensor | number | boolean | string | null | readonly Output[];

/** One call from a sample database. */
export interface Sample {
  /** First argument. */
  readonly input: Value;
  /** Other positional arguments. */
  readonly args: readonly Value[];
  /** Keyword arguments under PyTorch's names. */
  readonly kwargs: Readonly<Record<string, Value>>;
  /** What PyTorch computed; only for results that are free up to a sign or a rotation, to be aligned with. */
  readonly expected: readonly Value[];
  /** PyTorch's variant name of the operator, usually empty. */
  readonly variant: string;
}

/** Calls our function for a sample. */
export type Adapter = (sample: Sample) => Output;

/** Adapters by PyTorch's operator name. */
export type Adapters = Readonly<Record<string, Adapter>>;

/** An argument that must be a tensor. */
export function tensorOf(value: Value | undefined): Tensor {
  if (value instanceof Tensor) return value;
  throw new TypeError(`Cannot use ${JSON.stringify(value)} as a tensor`);
}

/** An argument that must be a number, or `fallback` when it is absent. */
export function numberOf(value: Value | undefined, fallback?: number): number {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  if ((value === undefined || value === null) && fallback !== undefined) return fallback;
  throw new TypeError(`Cannot use ${JSON.stringify(value)} as a number`);
}

/** A list of numbers; one number stands for a list of one. */
export function numbersOf(value: Value | undefined): number[] {
  return Array.isArray(value) ? value.map((v) => numberOf(v)) : [numberOf(value)];
}

/** A tensor or a number. */
export function numericOf(value: Value | undefined): Tensor | number {
  return value instanceof Tensor ? value : numberOf(value);
}

/** Dimensions to reduce over; undefined (all) for None. */
export function dimsOf(value: Value | undefined): number | number[] | undefined {
  if (value === undefined || value === null) return undefined;
  return Array.isArray(value) ? numbersOf(value) : numberOf(value);
}

/**
 * Positional or keyword argument: `args[index]`, else `kwargs[name]`, else undefined. None is null.
 * `index` counts after the input.
 */
export function argument(sample: Sample, index: number, name: string): Value | undefined {
  return index >= 0 && index < sample.args.length ? sample.args[index] : sample.kwargs[name];
}
