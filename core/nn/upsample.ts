/** Resizing as modules. */
import type { Tensor } from "../tensor/mod.ts";
import {
  interpolate,
  interpolateModes,
  type InterpolateOptions,
} from "./functional/interpolate.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode Upsample}. */
export type UpsampleOptions = Omit<InterpolateOptions, "antialias">;

/** Resizes the dimensions after the second; see `interpolate`. */
export class Upsample extends Module {
  /**
   * Makes the layer.
   * @param options Size or scaleFactor, mode, alignCorners
   */
  constructor(readonly options: UpsampleOptions) {
    super();
    const { name } = this.constructor;
    if ((options.size === undefined) === (options.scaleFactor === undefined)) {
      throw new TypeError(`Cannot make ${name}: give either size or scaleFactor`);
    }
    if (options.mode !== undefined && !interpolateModes.includes(options.mode)) {
      throw new RangeError(
        `Cannot make ${name} with mode ${options.mode}: it must be ${interpolateModes.join(", ")}`,
      );
    }
  }

  /**
   * The resized input.
   * @param x `[N, C, ...]`
   * @throws {TypeError} When the mode does not take so many dimensions
   */
  override forward(x: Tensor): Tensor {
    return interpolate(x, this.options);
  }

  /** The options. */
  override extraRepr(): string {
    return Object.entries({ mode: "nearest", ...this.options }).map(([k, v]) => `${k}=${v}`)
      .join(", ");
  }
}

/** Nearest elements of images. */
export class UpsamplingNearest2d extends Upsample {
  /**
   * Makes the layer.
   * @param options Size or scaleFactor
   */
  constructor(options: Pick<UpsampleOptions, "size" | "scaleFactor">) {
    super({ ...options, mode: "nearest" });
  }
}

/** Bilinear values of images, corners aligned. */
export class UpsamplingBilinear2d extends Upsample {
  /**
   * Makes the layer.
   * @param options Size or scaleFactor
   */
  constructor(options: Pick<UpsampleOptions, "size" | "scaleFactor">) {
    super({ ...options, mode: "bilinear", alignCorners: true });
  }
}
