/** How losses of elements become one number, and the checks that losses share. */
import { warnOnce } from "../../debug.ts";
import { isFloat } from "../../dtype.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** How losses of elements become one number: their mean, their sum, or not at all. */
export type Reduction = "mean" | "sum" | "none";

/** Options of a loss without others. */
export interface ReductionOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
}

/** @throws {RangeError} When the reduction is none of the three */
export function checkReduction(reduction: Reduction): Reduction {
  const known: Record<Reduction, true> = { mean: true, sum: true, none: true };
  if (known[reduction] === true) return reduction;
  throw new RangeError(
    `Cannot reduce a loss by "${reduction}": it must be "mean", "sum" or "none"`,
  );
}

/** Losses of elements reduced; their mean by default. */
export function reduceLoss(loss: Tensor, reduction: Reduction = "mean"): Tensor {
  if (checkReduction(reduction) === "none") return loss;
  return reduction === "sum" ? loss.sum() : loss.mean();
}

/** Sizes for a message. */
export const shapeOf = (t: Tensor): string => `[${t.shape.join(", ")}]`;

/** Whether two tensors have the same shape. */
export const sameShapes = (a: Tensor, b: Tensor): boolean =>
  a.ndim === b.ndim && a.shape.every((s, d) => s === b.shape[d]);

/** Says once that shapes differ, which broadcasts. */
export function warnShapes(name: string, input: Tensor, target: Tensor): void {
  if (sameShapes(input, target)) return;
  warnOnce(
    `${name} compares ${shapeOf(input)} with ${
      shapeOf(target)
    } by broadcasting, which is seldom meant`,
  );
}

/** @throws {TypeError} When shapes differ */
export function checkShapes(name: string, input: Tensor, target: Tensor): void {
  if (sameShapes(input, target)) return;
  throw new TypeError(
    `Cannot take ${name} of ${shapeOf(input)} and target ${shapeOf(target)}: the target must be ${
      shapeOf(input)
    }`,
  );
}

/** @throws {TypeError} When a tensor holds no floats */
export function checkFloats(name: string, input: Tensor): void {
  if (isFloat(input.dtype)) return;
  throw new TypeError(
    `Cannot take ${name} of ${input.dtype} ${shapeOf(input)}: cast to a float dtype first`,
  );
}

/** @throws {RangeError} When an option is not above 0 (or, with `least` 0 included, below it) */
export function checkPositive(
  name: string,
  key: string,
  value: number,
  options: { orZero?: boolean } = {},
): void {
  if (value > 0 || (options.orZero === true && value === 0)) return;
  throw new RangeError(
    `Cannot take ${name} with ${key} ${value}: it must be ${
      options.orZero === true ? "at least 0" : "above 0"
    }`,
  );
}
