/** The bilinear layer. */
import type { DType } from "../dtype.ts";
import { Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { bilinear } from "./functional/linear.ts";
import { uniform_ } from "./init.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode Bilinear}. */
export interface BilinearOptions {
  /** Whether a bias is added; true by default. */
  readonly bias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** `y[k] = x1 . weight[k] . x2 + bias[k]`. Both parameters start uniform in `±1 / sqrt(in1Features)`. */
export class Bilinear extends Module {
  /** `[outFeatures, in1Features, in2Features]`. */
  readonly weight: Parameter;
  /** `[outFeatures]`, unless switched off. */
  readonly bias: Parameter | undefined;

  /**
   * Makes the layer with PyTorch's uniform initialisation.
   * @param in1Features Size of the last dimension of the first input
   * @param in2Features Size of the last dimension of the second input
   * @param outFeatures Size of the last dimension of the output
   * @param options Bias, dtype
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(
    readonly in1Features: number,
    readonly in2Features: number,
    readonly outFeatures: number,
    options: BilinearOptions = {},
  ) {
    super();
    checkSize("Bilinear", { in1Features, in2Features, outFeatures });
    const { dtype = "float32", bias = true } = options;
    this.weight = new Parameter(zeros([outFeatures, in1Features, in2Features], { dtype }));
    this.bias = bias ? new Parameter(zeros([outFeatures], { dtype })) : undefined;
    this.resetParameters();
  }

  /** Draws the parameters anew. */
  resetParameters(): void {
    const bound = 1 / Math.sqrt(this.in1Features);
    uniform_(this.weight, -bound, bound);
    if (this.bias !== undefined) uniform_(this.bias, -bound, bound);
  }

  /**
   * `[..., in1Features]` and `[..., in2Features]` to `[..., outFeatures]`.
   * @param x1 `[..., in1Features]`
   * @param x2 `[..., in2Features]`, the same leading sizes
   * @returns `[..., outFeatures]`
   * @throws {TypeError} When the sizes differ
   */
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return bilinear(x1, x2, this.weight, this.bias);
  }

  /** Sizes and whether there is a bias. */
  override extraRepr(): string {
    const { in1Features, in2Features, outFeatures, bias } = this;
    return `in1Features=${in1Features}, in2Features=${in2Features}, outFeatures=${outFeatures}, bias=${
      bias !== undefined
    }`;
  }
}
