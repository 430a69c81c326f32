/** Activations of straight pieces, as functions. At a kink the gradient is that of PyTorch. */
import type { Tensor } from "../../tensor/mod.ts";

/**
 * Limits `x` to `minVal .. maxVal`; no gradient at the limits.
 *
 * @throws {RangeError} When `minVal` is above `maxVal`
 */
export function hardtanh(x: Tensor, minVal: number = -1, maxVal: number = 1): Tensor {
  checkLimits("apply hardtanh", minVal, maxVal);
  return x.le(minVal).where(minVal, x.ge(maxVal).where(maxVal, x));
}

/** @throws {RangeError} When `minVal` is above `maxVal` */
export function checkLimits(action: string, minVal: number, maxVal: number): void {
  if (!(minVal <= maxVal)) {
    throw new RangeError(
      `Cannot ${action} with minVal ${minVal} and maxVal ${maxVal}: minVal must not be above maxVal`,
    );
  }
}

/** `min(max(x, 0), 6)`, elementwise. */
export function relu6(x: Tensor): Tensor {
  return hardtanh(x, 0, 6);
}

/** `x / 6 + 1 / 2` limited to 0 and 1, elementwise. */
export function hardsigmoid(x: Tensor): Tensor {
  return x.le(-3).where(0, x.ge(3).where(1, x.add(3).mul(1 / 6)));
}

/** `x * hardsigmoid(x)`, elementwise (Howard et al., arXiv:1905.02244). */
export function hardswish(x: Tensor): Tensor {
  return x.le(-3).where(0, x.ge(3).where(x, x.mul(x.add(3)).mul(1 / 6)));
}

/** `x` outside `-lambd .. lambd`, 0 inside. */
export function hardshrink(x: Tensor, lambd: number = 0.5): Tensor {
  return x.ge(-lambd).logicalAnd(x.le(lambd)).where(0, x);
}

/**
 * `x` moved towards 0 by `lambd`, 0 within `-lambd .. lambd`.
 *
 * @throws {RangeError} When `lambd` is negative
 */
export function softshrink(x: Tensor, lambd: number = 0.5): Tensor {
  checkLambd("apply softshrink", lambd);
  // The product keeps NaN.
  return x.gt(lambd).where(x.sub(lambd), x.lt(-lambd).where(x.add(lambd), x.mul(0)));
}

/** @throws {RangeError} When `lambd` is negative */
export function checkLambd(action: string, lambd: number): void {
  if (!(lambd >= 0)) {
    throw new RangeError(`Cannot ${action} with lambd ${lambd}: it must be at least 0`);
  }
}

/** `x` above `threshold`, `value` elsewhere. */
export function threshold(x: Tensor, threshold: number, value: number): Tensor {
  return x.le(threshold).where(value, x);
}
