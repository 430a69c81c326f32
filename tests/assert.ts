/** Assertions on numbers, with messages that say where and by how much. */
import { AssertionError } from "@std/assert";
import type { Tensor } from "@pta/core";
import { codecs } from "../core/dtype.ts";
import type { Plain } from "./plain.ts";

/** The elements of a tensor as numbers; bfloat16 decoded. */
export function numbers(t: Tensor): number[] {
  return Array.from(t.data() as ArrayLike<number | bigint>, codecs[t.dtype].decode);
}

/** Tolerances: an element passes when `|actual - expected| <= atol + rtol * |expected|`; equal infinities and NaN pass. */
export interface Tolerance {
  readonly atol?: number;
  readonly rtol?: number;
}

/** Checks every element; reports the worst one, the largest absolute and the largest relative error. */
export function closeNumbers(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { atol = 1e-6, rtol = 1e-5 }: Tolerance = {},
  what = "values",
): void {
  if (actual.length !== expected.length) {
    throw new AssertionError(`${what}: ${actual.length} elements, expected ${expected.length}`);
  }
  let worst = -1, excess = 0, largest = 0, relative = 0;
  for (let i = 0; i < expected.length; i++) {
    const a = actual[i], e = expected[i];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const difference = Math.abs(a - e);
    // A NaN or an infinity where there should be none is off by infinitely much.
    const error = Number.isFinite(difference) ? difference : Infinity;
    largest = Math.max(largest, error);
    if (e !== 0) relative = Math.max(relative, error / Math.abs(e));
    const over = Number.isFinite(e) ? error - (atol + rtol * Math.abs(e)) : Infinity;
    if (over > excess) {
      excess = over;
      worst = i;
    }
  }
  if (worst >= 0) {
    throw new AssertionError(
      `${what}: element ${worst} of ${expected.length} is ${actual[worst]}, expected ${
        expected[worst]
      } ` +
        `(largest absolute error ${largest.toExponential(2)}, relative ${
          relative.toExponential(2)
        })`,
    );
  }
}

/** Checks the shape and every element of a tensor against plain numbers. */
export function close(
  actual: Tensor,
  expected: Plain,
  tolerance: Tolerance = {},
  what = "tensor",
): void {
  if (actual.shape.join() !== expected.shape.join()) {
    throw new AssertionError(`${what}: shape [${actual.shape}], expected [${expected.shape}]`);
  }
  closeNumbers(numbers(actual), expected.data, tolerance, what);
}

/** Checks that `fn` throws an error of exactly the class and with exactly the message. */
export function throwsExactly(
  fn: () => unknown,
  type: new (message: string) => Error,
  message: string,
): void {
  let thrown: unknown;
  try {
    fn();
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) throw new AssertionError(`nothing was thrown; expected "${message}"`);
  const error = thrown as Error;
  if (error.constructor !== type || error.message !== message) {
    throw new AssertionError(
      `threw ${error.constructor?.name}: "${error.message}"\n expected ${type.name}: "${message}"`,
    );
  }
}
