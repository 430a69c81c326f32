/** Group, root-mean-square and local response normalisation as modules. */
import type { DType } from "../dtype.ts";
import { ones, Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import {
  localResponseNorm,
  type LocalResponseNormOptions,
} from "./functional/local_response_norm.ts";
import { groupNorm, rmsNorm } from "./functional/norm.ts";
import { ones_, zeros_ } from "./init.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode GroupNorm}. */
export interface GroupNormOptions {
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
  /** Whether there are weight and bias; true by default. */
  readonly affine?: boolean;
  /** Whether there is a bias beside the weight; true by default. */
  readonly bias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** Normalises the channels of each group together (Wu & He, arXiv:1803.08494). */
export class GroupNorm extends Module {
  /** Number of groups. */
  readonly numGroups: number;
  /** Number of channels. */
  readonly numChannels: number;
  /** Added to the variance. */
  readonly eps: number;
  /** Scale `[C]`, ones at first. */
  readonly weight: Parameter | undefined;
  /** Shift `[C]`, zeros at first. */
  readonly bias: Parameter | undefined;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1 or the groups do not divide the channels
   */
  constructor(numGroups: number, numChannels: number, options: GroupNormOptions = {}) {
    super();
    checkSize("GroupNorm", { numGroups, numChannels });
    if (numChannels % numGroups !== 0) {
      throw new RangeError(
        `Cannot make GroupNorm with numChannels ${numChannels}: it must be a multiple of numGroups ${numGroups}`,
      );
    }
    const { eps = 1e-5, affine = true, bias = true, dtype = "float32" } = options;
    this.numGroups = numGroups;
    this.numChannels = numChannels;
    this.eps = eps;
    if (!affine) return;
    this.weight = new Parameter(ones([numChannels], { dtype }));
    if (bias) this.bias = new Parameter(zeros([numChannels], { dtype }));
  }

  /** Makes the weight one and the bias zero. */
  resetParameters(): void {
    if (this.weight !== undefined) ones_(this.weight);
    if (this.bias !== undefined) zeros_(this.bias);
  }

  /**
   * The normalised input.
   * @param x `[N, C, ...]`
   * @returns Same shape
   * @throws {TypeError} When the channels do not fit
   */
  override forward(x: Tensor): Tensor {
    if (x.ndim < 2 || x.shape[1] !== this.numChannels) {
      throw new TypeError(
        `Cannot apply GroupNorm to [${
          x.shape.join(", ")
        }]: it must be [N, ${this.numChannels}, ...], numChannels at dim 1`,
      );
    }
    return groupNorm(x, this.numGroups, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  /** Sizes and options. */
  override extraRepr(): string {
    return `${this.numGroups}, ${this.numChannels}, eps=${this.eps}, affine=${
      this.weight !== undefined
    }`;
  }
}

/** Options of {@linkcode RMSNorm}. */
export interface RMSNormOptions {
  /** Added to the mean square; the distance from 1 to the next number of the dtype by default. */
  readonly eps?: number;
  /** Whether there is a weight; true by default. */
  readonly elementwiseAffine?: boolean;
  /** dtype of the weight; float32 by default. */
  readonly dtype?: DType;
}

/** Divides by the root of the mean square over the last dimensions (Zhang & Sennrich, arXiv:1910.07467). */
export class RMSNorm extends Module {
  /** Sizes of the last dimensions. */
  readonly normalizedShape: readonly number[];
  /** Added to the mean square. */
  readonly eps: number | undefined;
  /** `normalizedShape`, ones at first. */
  readonly weight: Parameter | undefined;

  /**
   * Makes the layer.
   * @param normalizedShape Sizes of the last dimensions; a number means one dimension
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(normalizedShape: number | readonly number[], options: RMSNormOptions = {}) {
    super();
    this.normalizedShape = typeof normalizedShape === "number"
      ? [normalizedShape]
      : [...normalizedShape];
    if (this.normalizedShape.length === 0) {
      throw new RangeError(
        "Cannot make RMSNorm with normalizedShape []: at least one dimension is needed",
      );
    }
    for (const size of this.normalizedShape) checkSize("RMSNorm", { normalizedShape: size });
    this.eps = options.eps;
    if (options.elementwiseAffine === false) return;
    this.weight = new Parameter(ones(this.normalizedShape, { dtype: options.dtype ?? "float32" }));
  }

  /** Makes the weight one. */
  resetParameters(): void {
    if (this.weight !== undefined) ones_(this.weight);
  }

  /**
   * The normalised input.
   * @param x `[..., ...normalizedShape]`
   * @returns Same shape
   * @throws {TypeError} When the last sizes differ
   */
  override forward(x: Tensor): Tensor {
    return rmsNorm(x, this.normalizedShape, { weight: this.weight, eps: this.eps });
  }

  /** Shape and options. */
  override extraRepr(): string {
    return `[${this.normalizedShape.join(", ")}], eps=${this.eps}, elementwiseAffine=${
      this.weight !== undefined
    }`;
  }
}

/** Divides by a power of the mean square of the neighbouring channels (Krizhevsky et al. 2012). */
export class LocalResponseNorm extends Module {
  /**
   * Makes the layer.
   * @param size Number of neighbouring channels
   * @param options alpha, beta, k
   * @throws {RangeError} When the size is not a whole number of at least 1
   */
  constructor(readonly size: number, readonly options: LocalResponseNormOptions = {}) {
    super();
    checkSize("LocalResponseNorm", { size });
  }

  /** The normalised input, in its shape. */
  override forward(x: Tensor): Tensor {
    return localResponseNorm(x, this.size, this.options);
  }

  /** Size and options. */
  override extraRepr(): string {
    const { alpha = 1e-4, beta = 0.75, k = 1 } = this.options;
    return `${this.size}, alpha=${alpha}, beta=${beta}, k=${k}`;
  }
}
