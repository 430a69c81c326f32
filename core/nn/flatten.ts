/** Flattening and its reverse. */
import type { Tensor } from "../tensor/mod.ts";
import { Module } from "./module.ts";

/** Merges the dimensions from `startDim` to `endDim`; the first one (the batch) stays by default. */
export class Flatten extends Module {
  /**
   * Makes the layer.
   * @param startDim First dimension to merge
   * @param endDim Last dimension to merge
   */
  constructor(readonly startDim: number = 1, readonly endDim: number = -1) {
    super();
  }

  /** `[N, ...]` to `[N, the product]` by default. */
  override forward(x: Tensor): Tensor {
    return x.flatten(this.startDim, this.endDim);
  }

  /** The dimensions. */
  override extraRepr(): string {
    return `startDim=${this.startDim}, endDim=${this.endDim}`;
  }
}

/** Splits dimension `dim` into `sizes`. */
export class Unflatten extends Module {
  /**
   * Makes the layer.
   * @param dim Dimension to split
   * @param sizes Sizes whose product is the size of `dim`; one may be -1
   */
  constructor(readonly dim: number, readonly sizes: readonly number[]) {
    super();
  }

  /** `[..., the product, ...]` to `[..., ...sizes, ...]`. */
  override forward(x: Tensor): Tensor {
    return x.unflatten(this.dim, this.sizes);
  }

  /** The dimension and the sizes. */
  override extraRepr(): string {
    return `dim=${this.dim}, sizes=[${this.sizes.join(", ")}]`;
  }
}
