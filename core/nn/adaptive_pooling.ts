/** Pooling to a given size, and the way back from max pooling, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import * as F from "./functional/adaptive_pool.ts";
import type { Sizes } from "./functional/convolution.ts";
import { Module } from "./module.ts";
import { type Maxima, Pool } from "./pooling.ts";

/** What the adaptive modules share: the size of the result. */
export abstract class AdaptivePool extends Module {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @param spatial Number of dimensions that are pooled
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(readonly outputSize: F.AdaptiveSizes, spatial: number) {
    super();
    F.adaptiveSizes(`make ${this.constructor.name}`, spatial, outputSize, 1);
  }

  /** The size. */
  override extraRepr(): string {
    const { outputSize } = this;
    return `outputSize=${
      typeof outputSize === "number" ? outputSize : `[${outputSize.join(", ")}]`
    }`;
  }
}

/** Options of the adaptive max pooling modules. */
export interface AdaptiveMaxPoolOptions {
  /** Whether the places of the maxima are given too; false by default. */
  readonly returnIndices?: boolean;
}

/** Options of the unpooling modules. */
export type MaxUnpoolModuleOptions = Omit<F.MaxUnpoolOptions, "outputSize">;

/** Means over `outputSize` windows that cover `[N, C, L]` evenly. */
export class AdaptiveAvgPool1d extends AdaptivePool {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(outputSize: F.AdaptiveSizes) {
    super(outputSize, 1);
  }

  /** The means. */
  override forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool1d(x, this.outputSize);
  }
}

/** Maxima over `outputSize` windows that cover `[N, C, L]` evenly. */
export class AdaptiveMaxPool1d<R extends boolean = false> extends AdaptivePool {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(
    outputSize: F.AdaptiveSizes,
    readonly options: AdaptiveMaxPoolOptions & { readonly returnIndices?: R } = {},
  ) {
    super(outputSize, 1);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    if (!this.options.returnIndices) return F.adaptiveMaxPool1d(x, this.outputSize) as Maxima<R>;
    const { values, indices } = F.adaptiveMaxPool1dWithIndices(x, this.outputSize);
    return [values, indices] as Maxima<R>;
  }
}

/** Puts the maxima of `[N, C, L]` back to their places, zeros elsewhere. */
export class MaxUnpool1d extends Pool<MaxUnpoolModuleOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(kernelSize: Sizes, options: MaxUnpoolModuleOptions = {}) {
    super(kernelSize, options, 1, "any");
  }

  /**
   * The unpooled input.
   * @param x What max pooling gave
   * @param indices The places it gave
   * @param options outputSize, when the geometry leaves a choice
   */
  override forward(
    x: Tensor,
    indices: Tensor,
    options: Pick<F.MaxUnpoolOptions, "outputSize"> = {},
  ): Tensor {
    return F.maxUnpool1d(x, indices, this.kernelSize, { ...this.options, ...options });
  }
}

/** Means over `outputSize` windows that cover `[N, C, H, W]` evenly. */
export class AdaptiveAvgPool2d extends AdaptivePool {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(outputSize: F.AdaptiveSizes) {
    super(outputSize, 2);
  }

  /** The means. */
  override forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool2d(x, this.outputSize);
  }
}

/** Maxima over `outputSize` windows that cover `[N, C, H, W]` evenly. */
export class AdaptiveMaxPool2d<R extends boolean = false> extends AdaptivePool {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(
    outputSize: F.AdaptiveSizes,
    readonly options: AdaptiveMaxPoolOptions & { readonly returnIndices?: R } = {},
  ) {
    super(outputSize, 2);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    if (!this.options.returnIndices) return F.adaptiveMaxPool2d(x, this.outputSize) as Maxima<R>;
    const { values, indices } = F.adaptiveMaxPool2dWithIndices(x, this.outputSize);
    return [values, indices] as Maxima<R>;
  }
}

/** Puts the maxima of `[N, C, H, W]` back to their places, zeros elsewhere. */
export class MaxUnpool2d extends Pool<MaxUnpoolModuleOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(kernelSize: Sizes, options: MaxUnpoolModuleOptions = {}) {
    super(kernelSize, options, 2, "any");
  }

  /**
   * The unpooled input.
   * @param x What max pooling gave
   * @param indices The places it gave
   * @param options outputSize, when the geometry leaves a choice
   */
  override forward(
    x: Tensor,
    indices: Tensor,
    options: Pick<F.MaxUnpoolOptions, "outputSize"> = {},
  ): Tensor {
    return F.maxUnpool2d(x, indices, this.kernelSize, { ...this.options, ...options });
  }
}

/** Means over `outputSize` windows that cover `[N, C, D, H, W]` evenly. */
export class AdaptiveAvgPool3d extends AdaptivePool {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(outputSize: F.AdaptiveSizes) {
    super(outputSize, 3);
  }

  /** The means. */
  override forward(x: Tensor): Tensor {
    return F.adaptiveAvgPool3d(x, this.outputSize);
  }
}

/** Maxima over `outputSize` windows that cover `[N, C, D, H, W]` evenly. */
export class AdaptiveMaxPool3d<R extends boolean = false> extends AdaptivePool {
  /**
   * Makes the layer.
   * @param outputSize Sizes of the result; null keeps one
   * @throws {TypeError} When there are too many or too few sizes
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(
    outputSize: F.AdaptiveSizes,
    readonly options: AdaptiveMaxPoolOptions & { readonly returnIndices?: R } = {},
  ) {
    super(outputSize, 3);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    if (!this.options.returnIndices) return F.adaptiveMaxPool3d(x, this.outputSize) as Maxima<R>;
    const { values, indices } = F.adaptiveMaxPool3dWithIndices(x, this.outputSize);
    return [values, indices] as Maxima<R>;
  }
}

/** Puts the maxima of `[N, C, D, H, W]` back to their places, zeros elsewhere. */
export class MaxUnpool3d extends Pool<MaxUnpoolModuleOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(kernelSize: Sizes, options: MaxUnpoolModuleOptions = {}) {
    super(kernelSize, options, 3, "any");
  }

  /**
   * The unpooled input.
   * @param x What max pooling gave
   * @param indices The places it gave
   * @param options outputSize, when the geometry leaves a choice
   */
  override forward(
    x: Tensor,
    indices: Tensor,
    options: Pick<F.MaxUnpoolOptions, "outputSize"> = {},
  ): Tensor {
    return F.maxUnpool3d(x, indices, this.kernelSize, { ...this.options, ...options });
  }
}
