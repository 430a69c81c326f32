/** Losses of numbers that should equal others. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import type { Tensor } from "../../tensor/mod.ts";
import {
  checkPositive,
  checkReduction,
  reduceLoss,
  type Reduction,
  sameShapes,
  shapeOf,
  warnShapes,
} from "./reduction.ts";

/** Options of {@linkcode mseLoss} and {@linkcode l1Loss}. */
export interface RegressionLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Factor of each element, in the shape of the input; a mean divides by the sum of the factors. */
  readonly weight?: Tensor;
}

/** Options of {@linkcode smoothL1Loss}. */
export interface SmoothL1LossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Difference where the square goes over into a line; 1 by default. */
  readonly beta?: number;
}

/** Options of {@linkcode huberLoss}. */
export interface HuberLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Difference where the square goes over into a line; 1 by default. */
  readonly delta?: number;
  /** Factor of each element, in the shape of the input; a mean divides by the number of elements, as in PyTorch. */
  readonly weight?: Tensor;
}

/**
 * Squared difference.
 *
 * @param input Any shape
 * @param target Same shape; another one is broadcast, with a warning
 * @param options Reduction, weight
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {TypeError} When the weight has another shape than the input
 */
export function mseLoss(
  input: Tensor,
  target: Tensor,
  options: RegressionLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("mseLoss", mseLoss, arguments);
  warnShapes("mseLoss", input, target);
  return weighted("mseLoss", input, input.sub(target).square(), options);
}

/**
 * Absolute difference.
 *
 * @param input Any shape
 * @param target Same shape; another one is broadcast, with a warning
 * @param options Reduction, weight
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {TypeError} When the weight has another shape than the input
 */
export function l1Loss(
  input: Tensor,
  target: Tensor,
  options: RegressionLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("l1Loss", l1Loss, arguments);
  warnShapes("l1Loss", input, target);
  return weighted("l1Loss", input, input.sub(target).abs(), options);
}

/**
 * `0.5 * d * d / beta` for differences `d` below `beta`, `d - 0.5 * beta` above (Girshick, arXiv:1504.08083).
 *
 * @param input Any shape
 * @param target Same shape; another one is broadcast, with a warning
 * @param options Reduction, beta
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {RangeError} When `beta` is negative
 */
export function smoothL1Loss(
  input: Tensor,
  target: Tensor,
  options: SmoothL1LossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("smoothL1Loss", smoothL1Loss, arguments);
  const { beta = 1, reduction } = options;
  checkPositive("smoothL1Loss", "beta", beta, { orZero: true });
  warnShapes("smoothL1Loss", input, target);
  const d = input.sub(target).abs();
  if (beta === 0) return reduceLoss(d, reduction);
  return reduceLoss(d.lt(beta).where(d.mul(d).mul(0.5 / beta), d.sub(0.5 * beta)), reduction);
}

/**
 * `0.5 * d * d` for differences `d` up to `delta`, `delta * (d - 0.5 * delta)` above (Huber, "Robust estimation of a location parameter", 1964).
 *
 * @param input Any shape
 * @param target Same shape; another one is broadcast, with a warning
 * @param options Reduction, delta, weight
 * @returns 0-d, or the shape of `input` when the reduction is `none`
 * @throws {TypeError} When the weight has another shape than the input
 * @throws {RangeError} When `delta` is not above 0
 */
export function huberLoss(input: Tensor, target: Tensor, options: HuberLossOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("huberLoss", huberLoss, arguments);
  const { delta = 1, reduction, weight } = options;
  checkPositive("huberLoss", "delta", delta);
  warnShapes("huberLoss", input, target);
  const d = input.sub(target).abs();
  let loss = d.le(delta).where(d.mul(d).mul(0.5), d.sub(0.5 * delta).mul(delta));
  if (weight !== undefined) {
    checkWeight("huberLoss", input, weight);
    loss = loss.mul(weight);
  }
  return reduceLoss(loss, reduction);
}

function checkWeight(name: string, input: Tensor, weight: Tensor): void {
  if (sameShapes(input, weight)) return;
  throw new TypeError(
    `Cannot weight ${name} of ${shapeOf(input)} by ${shapeOf(weight)}: the shapes must be equal`,
  );
}

function weighted(
  name: string,
  input: Tensor,
  loss: Tensor,
  { reduction = "mean", weight }: RegressionLossOptions,
): Tensor {
  if (weight === undefined) return reduceLoss(loss, reduction);
  checkWeight(name, input, weight);
  const product = loss.mul(weight);
  return checkReduction(reduction) === "mean"
    ? product.sum().div(weight.sum())
    : reduceLoss(product, reduction);
}
