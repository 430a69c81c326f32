/** Losses of pairs and triplets of vectors, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import {
  cosineEmbeddingLoss,
  tripletMarginLoss,
  tripletMarginWithDistanceLoss,
} from "./functional/embedding_loss.ts";
import { pairwiseDistance } from "./functional/distance.ts";
import { checkPositive } from "./functional/reduction.ts";
import { Loss, type LossOptions } from "./loss.ts";

/** Options of {@linkcode CosineEmbeddingLoss}. */
export interface CosineEmbeddingLossOptions extends LossOptions {
  /** Similarity that unlike pairs may have; 0 by default. */
  readonly margin?: number;
}

/** `1 - cos` of like pairs, `max(0, cos - margin)` of unlike ones. See {@linkcode cosineEmbeddingLoss}. */
export class CosineEmbeddingLoss extends Loss {
  /** Similarity that unlike pairs may have. */
  readonly margin: number;

  /**
   * Makes the loss.
   * @param options margin, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: CosineEmbeddingLossOptions = {}) {
    super(options);
    this.margin = options.margin ?? 0;
  }

  /**
   * The loss of a batch.
   * @param input1 `[N, D]` or `[D]`
   * @param input2 Same shape
   * @param target `[N]` or `[]`: 1 or -1
   * @returns 0-d, or the shape of `target` when the reduction is `none`
   * @throws {TypeError} When shapes do not fit
   */
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    const { margin, reduction } = this;
    return cosineEmbeddingLoss(input1, input2, target, { margin, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `margin=${this.margin}, reduction=${this.reduction}`;
  }
}

/** Options of {@linkcode TripletMarginLoss}. */
export interface TripletMarginLossOptions extends LossOptions {
  /** Lead that the negative's distance must have; 1 by default. */
  readonly margin?: number;
  /** Exponent of the norm; 2 by default. */
  readonly p?: number;
  /** Added to each difference; 1e-6 by default. */
  readonly eps?: number;
  /** Whether the distance of positive and negative counts when it is the smaller; false by default. */
  readonly swap?: boolean;
}

/** `max(0, margin + d(anchor, positive) - d(anchor, negative))`. See {@linkcode tripletMarginLoss}. */
export class TripletMarginLoss extends Loss {
  /** Lead that the negative's distance must have. */
  readonly margin: number;
  /** Exponent of the norm. */
  readonly p: number;
  /** Added to each difference. */
  readonly eps: number;
  /** Whether the distance of positive and negative counts when it is the smaller. */
  readonly swap: boolean;

  /**
   * Makes the loss.
   * @param options margin, p, eps, swap, reduction
   * @throws {RangeError} When the reduction is unknown or the margin is not above 0
   */
  constructor(options: TripletMarginLossOptions = {}) {
    super(options);
    this.margin = options.margin ?? 1;
    this.p = options.p ?? 2;
    this.eps = options.eps ?? 1e-6;
    this.swap = options.swap ?? false;
    checkPositive("TripletMarginLoss", "margin", this.margin);
  }

  /**
   * The loss of a batch.
   * @param anchor `[N, D]` or `[D]`
   * @param positive Like the anchor
   * @param negative Unlike the anchor
   * @returns 0-d, or `[N]` when the reduction is `none`
   * @throws {TypeError} When the numbers of dimensions differ
   */
  override forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    const { margin, p, eps, swap, reduction } = this;
    return tripletMarginLoss(anchor, positive, negative, { margin, p, eps, swap, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `margin=${this.margin}, p=${this.p}, eps=${this.eps}, swap=${this.swap}, reduction=${this.reduction}`;
  }
}

/** Distances of two batches of vectors. */
export type DistanceFunction = (a: Tensor, b: Tensor) => Tensor;

/** Options of {@linkcode TripletMarginWithDistanceLoss}. */
export interface TripletMarginWithDistanceLossOptions extends LossOptions {
  /** Distance of two batches of vectors; {@linkcode pairwiseDistance} by default. */
  readonly distanceFunction?: DistanceFunction;
  /** Lead that the negative's distance must have; 1 by default. */
  readonly margin?: number;
  /** Whether the distance of positive and negative counts when it is the smaller; false by default. */
  readonly swap?: boolean;
}

/** {@linkcode TripletMarginLoss} with any distance. See {@linkcode tripletMarginWithDistanceLoss}. */
export class TripletMarginWithDistanceLoss extends Loss {
  /** Distance of two batches of vectors. */
  readonly distanceFunction: DistanceFunction;
  /** Lead that the negative's distance must have. */
  readonly margin: number;
  /** Whether the distance of positive and negative counts when it is the smaller. */
  readonly swap: boolean;

  /**
   * Makes the loss.
   * @param options distanceFunction, margin, swap, reduction
   * @throws {RangeError} When the reduction is unknown or the margin is not above 0
   */
  constructor(options: TripletMarginWithDistanceLossOptions = {}) {
    super(options);
    this.distanceFunction = options.distanceFunction ?? pairwiseDistance;
    this.margin = options.margin ?? 1;
    this.swap = options.swap ?? false;
    checkPositive("TripletMarginWithDistanceLoss", "margin", this.margin);
  }

  /**
   * The loss of a batch.
   * @param anchor `[N, D]` or `[D]`
   * @param positive Like the anchor
   * @param negative Unlike the anchor
   * @returns 0-d, or the shape of the distances when the reduction is `none`
   * @throws {TypeError} When the numbers of dimensions differ
   */
  override forward(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    const { distanceFunction, margin, swap, reduction } = this;
    return tripletMarginWithDistanceLoss(anchor, positive, negative, {
      distanceFunction,
      margin,
      swap,
      reduction,
    });
  }

  /** The options. */
  override extraRepr(): string {
    return `margin=${this.margin}, swap=${this.swap}, reduction=${this.reduction}`;
  }
}
