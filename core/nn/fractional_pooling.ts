/** Max pooling with windows at random steps, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { type Sizes, sizesOf } from "./functional/convolution.ts";
import * as F from "./functional/fractional_pool.ts";
import { Module } from "./module.ts";
import type { Maxima } from "./pooling.ts";

/** Options of the fractional max pooling modules. Exactly one of outputSize and outputRatio is given. */
export interface FractionalMaxPoolModuleOptions extends F.FractionalMaxPoolOptions {
  /** Whether the places of the maxima are given too; false by default. */
  readonly returnIndices?: boolean;
}

const text = (v: Sizes): string => typeof v === "number" ? `${v}` : `[${v.join(", ")}]`;

/** What the fractional modules share: sizes and, when they are given, the samples. */
export abstract class FractionalMaxPool extends Module {
  /** Size of the windows. */
  readonly kernelSize: Sizes;
  /** Options without the samples. */
  readonly options: FractionalMaxPoolModuleOptions;
  /** The samples that place the windows, when they are not to be drawn: a buffer. */
  readonly _random_samples: Tensor | undefined;

  /**
   * Makes the layer.
   * @throws {TypeError} When outputSize and outputRatio are both given or both missing
   * @throws {RangeError} When a size is not a whole number of at least 1, or a ratio not between 0 and 1
   */
  constructor(kernelSize: Sizes, options: FractionalMaxPoolModuleOptions, spatial: number) {
    super();
    const action = `make ${this.constructor.name}`;
    sizesOf(action, "kernelSize", kernelSize, spatial, 1);
    F.fractionalSizes(action, spatial, options);
    const { randomSamples, ...rest } = options;
    this.kernelSize = kernelSize;
    this.options = rest;
    if (randomSamples !== undefined) {
      this._random_samples = this.registerBuffer("_random_samples", randomSamples);
    }
  }

  /** Options with the samples. */
  protected get drawing(): F.FractionalMaxPoolOptions {
    return { ...this.options, randomSamples: this._random_samples };
  }

  /** Sizes. */
  override extraRepr(): string {
    const { outputSize, outputRatio } = this.options;
    const to = outputSize === undefined
      ? `outputRatio=${text(outputRatio!)}`
      : `outputSize=${text(outputSize)}`;
    return `kernelSize=${text(this.kernelSize)}, ${to}`;
  }
}

/** Maxima of windows over `[N, C, H, W]` (or without N) that overlap at random (Graham, arXiv:1412.6071). */
export class FractionalMaxPool2d<R extends boolean = false> extends FractionalMaxPool {
  /**
   * Makes the layer.
   * @throws {TypeError} When outputSize and outputRatio are both given or both missing
   * @throws {RangeError} When a size is not a whole number of at least 1, or a ratio not between 0 and 1
   */
  constructor(
    kernelSize: Sizes,
    options: FractionalMaxPoolModuleOptions & { readonly returnIndices?: R },
  ) {
    super(kernelSize, options, 2);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    const { values, indices } = F.fractionalMaxPool2dWithIndices(x, this.kernelSize, this.drawing);
    return (this.options.returnIndices ? [values, indices] : values) as Maxima<R>;
  }
}

/** Maxima of windows over `[N, C, D, H, W]` (or without N) that overlap at random (Graham, arXiv:1412.6071). */
export class FractionalMaxPool3d<R extends boolean = false> extends FractionalMaxPool {
  /**
   * Makes the layer.
   * @throws {TypeError} When outputSize and outputRatio are both given or both missing
   * @throws {RangeError} When a size is not a whole number of at least 1, or a ratio not between 0 and 1
   */
  constructor(
    kernelSize: Sizes,
    options: FractionalMaxPoolModuleOptions & { readonly returnIndices?: R },
  ) {
    super(kernelSize, options, 3);
  }

  /** The maxima; with returnIndices `[maxima, places]`. */
  override forward(x: Tensor): Maxima<R> {
    const { values, indices } = F.fractionalMaxPool3dWithIndices(x, this.kernelSize, this.drawing);
    return (this.options.returnIndices ? [values, indices] : values) as Maxima<R>;
  }
}
