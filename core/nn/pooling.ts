/** Pooling as modules. */
import type { Tensor } from "../tensor/mod.ts";
import type { Sizes } from "./functional/convolution.ts";
import * as avg from "./functional/avg_pool.ts";
import * as max from "./functional/max_pool.ts";
import { Module } from "./module.ts";

const text = (options: object): string =>
  Object.entries(options).map(([k, v]) => `, ${k}=${Array.isArray(v) ? `[${v.join(", ")}]` : v}`)
    .join("");

/** What a module of max pooling gives: the maxima, with `returnIndices` `[maxima, places]`. */
export type Maxima<R extends boolean> = R extends true ? [Tensor, Tensor] : Tensor;

/** Options of the max pooling modules. */
export interface MaxPoolModuleOptions extends max.MaxPoolOptions {
  /** Whether the places of the maxima are given too; false by default. */
  readonly returnIndices?: boolean;
}

/** What the pooling modules share: the size of the windows. */
export abstract class Pool<O extends max.MaxPoolOptions> extends Module {
  /** Size of the windows. */
  readonly kernelSize: Sizes;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(
    kernelSize: Sizes,
    readonly options: O,
    spatial: number,
    /** What padding may be: half a window, or anything. */
    padding: "half" | "any" = "half",
  ) {
    super();
    const action = `make ${this.constructor.name}`;
    const sizes = max.windowSizes(action, spatial, kernelSize, options);
    if (padding === "half") max.checkPadding(action, sizes);
    this.kernelSize = kernelSize;
  }

  /** Sizes and options. */
  override extraRepr(): string {
    const { kernelSize } = this;
    const size = typeof kernelSize === "number" ? kernelSize : `[${kernelSize.join(", ")}]`;
    return `kernelSize=${size}${text(this.options)}`;
  }
}

/** The largest element of each window of `[N, C, L]` (or without N). */
export class MaxPool1d<R extends boolean = false> extends Pool<MaxPoolModuleOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(
    kernelSize: Sizes,
    options: MaxPoolModuleOptions & { readonly returnIndices?: R } = {},
  ) {
    super(kernelSize, options, 1);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    if (this.options.returnIndices) {
      const { values, indices } = max.maxPool1dWithIndices(x, this.kernelSize, this.options);
      return [values, indices] as Maxima<R>;
    }
    return max.maxPool1d(x, this.kernelSize, this.options) as Maxima<R>;
  }
}

/** The mean of each window of `[N, C, L]` (or without N). */
export class AvgPool1d extends Pool<avg.AvgPoolOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(kernelSize: Sizes, options: avg.AvgPoolOptions = {}) {
    super(kernelSize, options, 1);
    avg.checkDivisor("make AvgPool1d", options.divisorOverride);
  }

  /** The means. */
  override forward(x: Tensor): Tensor {
    return avg.avgPool1d(x, this.kernelSize, this.options);
  }
}

/** `(sum of x ** p over each window) ** (1 / p)` for `[N, C, L]`. */
export class LPPool1d extends Pool<avg.LPPoolOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(readonly normType: number, kernelSize: Sizes, options: avg.LPPoolOptions = {}) {
    super(kernelSize, options, 1);
    avg.checkNormType("make LPPool1d", normType);
  }

  /** The power averages. */
  override forward(x: Tensor): Tensor {
    return avg.lpPool1d(x, this.normType, this.kernelSize, this.options);
  }
}

/** The largest element of each window of `[N, C, H, W]` (or without N). */
export class MaxPool2d<R extends boolean = false> extends Pool<MaxPoolModuleOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(
    kernelSize: Sizes,
    options: MaxPoolModuleOptions & { readonly returnIndices?: R } = {},
  ) {
    super(kernelSize, options, 2);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    if (this.options.returnIndices) {
      const { values, indices } = max.maxPool2dWithIndices(x, this.kernelSize, this.options);
      return [values, indices] as Maxima<R>;
    }
    return max.maxPool2d(x, this.kernelSize, this.options) as Maxima<R>;
  }
}

/** The mean of each window of `[N, C, H, W]` (or without N). */
export class AvgPool2d extends Pool<avg.AvgPoolOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(kernelSize: Sizes, options: avg.AvgPoolOptions = {}) {
    super(kernelSize, options, 2);
    avg.checkDivisor("make AvgPool2d", options.divisorOverride);
  }

  /** The means. */
  override forward(x: Tensor): Tensor {
    return avg.avgPool2d(x, this.kernelSize, this.options);
  }
}

/** `(sum of x ** p over each window) ** (1 / p)` for `[N, C, H, W]`. */
export class LPPool2d extends Pool<avg.LPPoolOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(readonly normType: number, kernelSize: Sizes, options: avg.LPPoolOptions = {}) {
    super(kernelSize, options, 2);
    avg.checkNormType("make LPPool2d", normType);
  }

  /** The power averages. */
  override forward(x: Tensor): Tensor {
    return avg.lpPool2d(x, this.normType, this.kernelSize, this.options);
  }
}

/** The largest element of each window of `[N, C, D, H, W]` (or without N). */
export class MaxPool3d<R extends boolean = false> extends Pool<MaxPoolModuleOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(
    kernelSize: Sizes,
    options: MaxPoolModuleOptions & { readonly returnIndices?: R } = {},
  ) {
    super(kernelSize, options, 3);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    if (this.options.returnIndices) {
      const { values, indices } = max.maxPool3dWithIndices(x, this.kernelSize, this.options);
      return [values, indices] as Maxima<R>;
    }
    return max.maxPool3d(x, this.kernelSize, this.options) as Maxima<R>;
  }
}

/** The mean of each window of `[N, C, D, H, W]` (or without N). */
export class AvgPool3d extends Pool<avg.AvgPoolOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(kernelSize: Sizes, options: avg.AvgPoolOptions = {}) {
    super(kernelSize, options, 3);
    avg.checkDivisor("make AvgPool3d", options.divisorOverride);
  }

  /** The means. */
  override forward(x: Tensor): Tensor {
    return avg.avgPool3d(x, this.kernelSize, this.options);
  }
}

/** `(sum of x ** p over each window) ** (1 / p)` for `[N, C, D, H, W]`. */
export class LPPool3d extends Pool<avg.LPPoolOptions> {
  /**
   * Makes the layer.
   * @throws {RangeError} When a size or option is out of range
   */
  constructor(readonly normType: number, kernelSize: Sizes, options: avg.LPPoolOptions = {}) {
    super(kernelSize, options, 3);
    avg.checkNormType("make LPPool3d", normType);
  }

  /** The power averages. */
  override forward(x: Tensor): Tensor {
    return avg.lpPool3d(x, this.normType, this.kernelSize, this.options);
  }
}
