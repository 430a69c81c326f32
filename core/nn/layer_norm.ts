/** Layer normalisation as a module. */
import type { DType } from "../dtype.ts";
import { ones, Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { layerNorm } from "./functional/norm.ts";
import { Module } from "./module.ts";
import { ones_, zeros_ } from "./init.ts";

/** Options of {@linkcode LayerNorm}. */
export interface LayerNormOptions {
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
  /** Whether there are weight and bias; true by default. */
  readonly elementwiseAffine?: boolean;
  /** Whether there is a bias beside the weight; true by default. */
  readonly bias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** Normalises over the last dimensions to mean 0 and variance 1, then scales and shifts (Ba et al., arXiv:1607.06450). */
export class LayerNorm extends Module {
  /** Sizes of the last dimensions. */
  readonly normalizedShape: readonly number[];
  /** Added to the variance. */
  readonly eps: number;
  /** `normalizedShape`, ones at first. */
  readonly weight: Parameter | undefined;
  /** `normalizedShape`, zeros at first. */
  readonly bias: Parameter | undefined;

  /**
   * Makes the layer, weight 1 and bias 0.
   * @param normalizedShape Sizes of the last dimensions; a number means one dimension
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(normalizedShape: number | readonly number[], options: LayerNormOptions = {}) {
    super();
    const { eps = 1e-5, elementwiseAffine = true, bias = true, dtype = "float32" } = options;
    this.normalizedShape = typeof normalizedShape === "number"
      ? [normalizedShape]
      : [...normalizedShape];
    if (this.normalizedShape.length === 0) {
      throw new RangeError(
        "Cannot make LayerNorm with normalizedShape []: at least one dimension is needed",
      );
    }
    for (const size of this.normalizedShape) checkSize("LayerNorm", { normalizedShape: size });
    this.eps = eps;
    this.weight = elementwiseAffine
      ? new Parameter(ones(this.normalizedShape, { dtype }))
      : undefined;
    this.bias = elementwiseAffine && bias
      ? new Parameter(zeros(this.normalizedShape, { dtype }))
      : undefined;
    this.resetParameters();
  }

  /** Makes the weight one and the bias zero. */
  resetParameters(): void {
    if (this.weight !== undefined) ones_(this.weight);
    if (this.bias !== undefined) zeros_(this.bias);
  }

  /**
   * The normalised input, in its shape.
   * @param x `[..., ...normalizedShape]`
   * @returns Same shape
   * @throws {TypeError} When the last sizes differ
   */
  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, {
      weight: this.weight,
      bias: this.bias,
      eps: this.eps,
    });
  }

  /** The shape, eps and whether there are parameters. */
  override extraRepr(): string {
    return `[${this.normalizedShape.join(", ")}], eps=${this.eps}, elementwiseAffine=${
      this.weight !== undefined
    }`;
  }
}
