/** Losses of pairs and triplets of vectors. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { type Tensor, where } from "../../tensor/mod.ts";
import { pairwiseDistance } from "./distance.ts";
import { checkPositive, checkReduction, reduceLoss, type Reduction, shapeOf } from "./reduction.ts";

/** Options of {@linkcode cosineEmbeddingLoss}. */
export interface CosineEmbeddingLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Similarity that unlike pairs may have; 0 by default. */
  readonly margin?: number;
}

/**
 * `1 - cos(input1, input2)` where the target is 1, `max(0, cos(input1, input2) - margin)` where it is -1.
 *
 * @param input1 `[N, D]` or `[D]`
 * @param input2 Same shape
 * @param target `[N]` or `[]`: 1 or -1
 * @param options Reduction, margin
 * @returns 0-d, or the shape of `target` when the reduction is `none`
 * @throws {TypeError} When shapes do not fit
 */
export function cosineEmbeddingLoss(
  input1: Tensor,
  input2: Tensor,
  target: Tensor,
  options: CosineEmbeddingLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("cosineEmbeddingLoss", cosineEmbeddingLoss, arguments);
  const { margin = 0, reduction } = options;
  const fits = (input1.ndim === 1 || input1.ndim === 2) && input1.ndim === input2.ndim &&
    target.ndim === input1.ndim - 1;
  if (!fits) {
    throw new TypeError(
      `Cannot take cosineEmbeddingLoss of ${shapeOf(input1)} and ${shapeOf(input2)} with target ${
        shapeOf(target)
      }: they must be [N, D], [N, D] and [N], or [D], [D] and []`,
    );
  }
  const square = (x: Tensor) => x.square().sum(-1).add(1e-12);
  const cosine = input1.mul(input2).sum(-1).div(square(input1).mul(square(input2)).sqrt());
  const near = where(target.eq(1), cosine.neg().add(1), 0);
  const far = where(target.eq(-1), cosine.sub(margin).clamp({ min: 0 }), 0);
  return reduceLoss(near.add(far), reduction);
}

/** Options of {@linkcode tripletMarginLoss}. */
export interface TripletMarginLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Lead that the negative's distance must have; 1 by default. */
  readonly margin?: number;
  /** Exponent of the norm; 2 by default. */
  readonly p?: number;
  /** Added to each difference; 1e-6 by default. */
  readonly eps?: number;
  /** Whether the distance of positive and negative counts when it is the smaller; false by default. */
  readonly swap?: boolean;
}

/**
 * `max(0, margin + d(anchor, positive) - d(anchor, negative))` (Balntas et al., "Learning local feature descriptors with triplets", 2016).
 *
 * @param anchor `[N, D]` or `[D]`
 * @param positive Like the anchor
 * @param negative Unlike the anchor
 * @param options Reduction, margin, p, eps, swap
 * @returns 0-d, or `[N]` when the reduction is `none`
 * @throws {TypeError} When the numbers of dimensions differ
 * @throws {RangeError} When the margin is not above 0
 */
export function tripletMarginLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletMarginLossOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("tripletMarginLoss", tripletMarginLoss, arguments);
  const { p = 2, eps = 1e-6, ...rest } = options;
  const distanceFunction = (a: Tensor, b: Tensor) => pairwiseDistance(a, b, { p, eps });
  return triplet("tripletMarginLoss", anchor, positive, negative, { ...rest, distanceFunction });
}

/** Options of {@linkcode tripletMarginWithDistanceLoss}. */
export interface TripletMarginWithDistanceLossOptions {
  /** `mean` by default. */
  readonly reduction?: Reduction;
  /** Lead that the negative's distance must have; 1 by default. */
  readonly margin?: number;
  /** Distance of two batches of vectors; {@linkcode pairwiseDistance} by default. */
  readonly distanceFunction?: (a: Tensor, b: Tensor) => Tensor;
  /** Whether the distance of positive and negative counts when it is the smaller; false by default. */
  readonly swap?: boolean;
}

/**
 * {@linkcode tripletMarginLoss} with any distance.
 *
 * @param anchor `[N, D]` or `[D]`
 * @param positive Like the anchor
 * @param negative Unlike the anchor
 * @param options Reduction, margin, distanceFunction, swap
 * @returns 0-d, or the shape of the distances when the reduction is `none`
 * @throws {TypeError} When the numbers of dimensions differ
 * @throws {RangeError} When the margin is not above 0
 */
export function tripletMarginWithDistanceLoss(
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletMarginWithDistanceLossOptions = {},
): Tensor {
  return triplet("tripletMarginWithDistanceLoss", anchor, positive, negative, options);
}

function triplet(
  name: string,
  anchor: Tensor,
  positive: Tensor,
  negative: Tensor,
  options: TripletMarginWithDistanceLossOptions,
): Tensor {
  const {
    reduction = "mean",
    margin = 1,
    swap = false,
    distanceFunction = pairwiseDistance,
  } = options;
  checkPositive(name, "margin", margin);
  checkReduction(reduction);
  if (anchor.ndim !== positive.ndim || anchor.ndim !== negative.ndim) {
    throw new TypeError(
      `Cannot take ${name} of anchor ${shapeOf(anchor)}, positive ${shapeOf(positive)}, negative ${
        shapeOf(negative)
      }: they must have equally many dimensions`,
    );
  }
  const near = distanceFunction(anchor, positive);
  let far = distanceFunction(anchor, negative);
  if (swap) far = far.minimum(distanceFunction(positive, negative));
  return reduceLoss(near.sub(far).add(margin).clamp({ min: 0 }), reduction);
}
