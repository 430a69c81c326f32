/** Distances and similarities as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { cosineSimilarity, pairwiseDistance } from "./functional/distance.ts";
import type { CosineSimilarityOptions, PairwiseDistanceOptions } from "./functional/distance.ts";
import { Module } from "./module.ts";

/** Cosine of the angle of vectors. See {@linkcode cosineSimilarity}. */
export class CosineSimilarity extends Module {
  /** Dimension of the vectors. */
  readonly dim: number;
  /** Smallest length that is divided by. */
  readonly eps: number;

  /**
   * Makes the layer.
   * @param options dim (1 by default), eps
   */
  constructor(options: CosineSimilarityOptions = {}) {
    super();
    this.dim = options.dim ?? 1;
    this.eps = options.eps ?? 1e-8;
  }

  /**
   * The cosines.
   * @param x1 Any shape
   * @param x2 Same shape, or broadcast
   * @returns The broadcast shape without `dim`
   * @throws {RangeError} When there is no such dimension
   */
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return cosineSimilarity(x1, x2, { dim: this.dim, eps: this.eps });
  }

  /** The dimension. */
  override extraRepr(): string {
    return `dim=${this.dim}, eps=${this.eps}`;
  }
}

/** Norm of the difference of vectors. See {@linkcode pairwiseDistance}. */
export class PairwiseDistance extends Module {
  /** Exponent of the norm. */
  readonly p: number;
  /** Added to each difference. */
  readonly eps: number;
  /** Whether the last dimension stays with size 1. */
  readonly keepdim: boolean;

  /**
   * Makes the layer.
   * @param options p (2 by default), eps, keepdim
   */
  constructor(options: PairwiseDistanceOptions = {}) {
    super();
    this.p = options.p ?? 2;
    this.eps = options.eps ?? 1e-6;
    this.keepdim = options.keepdim ?? false;
  }

  /**
   * The distances.
   * @param x1 `[..., D]`
   * @param x2 `[..., D]`; broadcasts
   * @returns `[...]`, or `[..., 1]` with `keepdim`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return pairwiseDistance(x1, x2, { p: this.p, eps: this.eps, keepdim: this.keepdim });
  }

  /** The options. */
  override extraRepr(): string {
    return `p=${this.p}, eps=${this.eps}, keepdim=${this.keepdim}`;
  }
}
