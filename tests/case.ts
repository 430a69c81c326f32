/** A row of the matrix of operators, and what rows are made with. */
import type { Tensor } from "@pta/core";
import * as plain from "./plain.ts";
import type { Plain } from "./plain.ts";

/** Interval that test values are drawn from, away from poles, kinks and ties. */
export type Domain = readonly [number, number];

/** One row of the matrix. */
export interface Case {
  readonly name: string;
  /** Methods of tensors that the row proves; its name by default. */
  readonly covers: readonly string[];
  readonly fn: (...x: Tensor[]) => Tensor;
  readonly expect: (...x: Plain[]) => Plain;
  /** One for each input. */
  readonly domains: readonly Domain[];
  /** What the inputs hold. */
  readonly kind: "float" | "int" | "bool";
  /** Whether a gradient is checked. */
  readonly gradient: boolean;
  /** Whether inputs broadcast against each other; else all have one shape. */
  readonly broadcasts: boolean;
  /** Least number of dimensions. */
  readonly rank: number;
  /** Whether an input without elements is fine. */
  readonly empty: boolean;
  /** Tolerance in float32 where the usual one is too narrow, with the reason at the row. */
  readonly float32?: { atol?: number; rtol?: number };
}

export type Options = Partial<Omit<Case, "name" | "fn" | "expect">>;

export const usual: Domain = [-2, 2];

export function row(
  name: string,
  fn: (...x: Tensor[]) => Tensor,
  expect: (...x: Plain[]) => Plain,
  options: Options = {},
): Case {
  return {
    name,
    fn,
    expect,
    covers: [name],
    domains: [usual],
    kind: "float",
    gradient: (options.kind ?? "float") === "float",
    broadcasts: false,
    rank: 0,
    empty: true,
    ...options,
  };
}

export const unary = (
  name: string,
  fn: (x: Tensor) => Tensor,
  f: (x: number) => number,
  options: Options = {},
) => row(name, fn, (x) => plain.zip(f, x), options);

export const binary = (
  name: string,
  fn: (a: Tensor, b: Tensor) => Tensor,
  f: (a: number, b: number) => number,
  options: Options = {},
) =>
  row(name, fn, (a, b) => plain.zip(f, a, b), {
    domains: [usual, usual],
    broadcasts: true,
    ...options,
  });

/** Away from poles and roots. */
export const positive: Domain = [0.3, 3];
/** No gradient is checked. */
export const flat = { gradient: false };
export const truth = (x: boolean) => x ? 1 : 0;
export const ints = { kind: "int", domains: [[-9, 9], [-9, 9]] } as const;
export const floorMod = (a: number, b: number) => a - b * Math.floor(a / b);
export const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
export const sum = (r: readonly number[]) => r.reduce((a, b) => a + b, 0);
/** The last dim. */
export const last = (x: Plain) => x.shape.length - 1;
export function swap(x: Plain, a: number, b: number): Plain {
  return plain.permute(x, x.shape.map((_, d) => d === a ? b : d === b ? a : d));
}
