/** The fully connected layer, and the one that does nothing. */
import type { DType } from "../dtype.ts";
import { Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { linear } from "./functional/linear.ts";
import { kaimingUniform_, uniform_ } from "./init.ts";
import { Module } from "./module.ts";
import { checkSize } from "./check.ts";

/** Options of {@linkcode Linear}. */
export interface LinearOptions {
  /** Whether a bias is added; true by default. */
  readonly bias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** `y = x @ weight.T + bias`. `weight` is `[outFeatures, inFeatures]`; both start uniform in `±1 / sqrt(inFeatures)`. */
export class Linear extends Module {
  /** `[outFeatures, inFeatures]`. */
  readonly weight: Parameter;
  /** `[outFeatures]`, unless switched off. */
  readonly bias: Parameter | undefined;

  /**
   * Makes the layer with PyTorch's uniform initialisation.
   * @param inFeatures Size of the last dimension of the input
   * @param outFeatures Size of the last dimension of the output
   * @throws {RangeError} When a size is not a whole number of at least 1
   */
  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    options: LinearOptions = {},
  ) {
    super();
    checkSize("Linear", { inFeatures, outFeatures });
    const { dtype = "float32", bias = true } = options;
    this.weight = new Parameter(zeros([outFeatures, inFeatures], { dtype }));
    this.bias = bias ? new Parameter(zeros([outFeatures], { dtype })) : undefined;
    this.resetParameters();
  }

  /** Draws the parameters anew. */
  resetParameters(): void {
    kaimingUniform_(this.weight, { a: Math.sqrt(5) });
    const bound = 1 / Math.sqrt(this.inFeatures);
    if (this.bias !== undefined) uniform_(this.bias, -bound, bound);
  }

  /**
   * `[..., inFeatures]` to `[..., outFeatures]`.
   * @param x `[..., inFeatures]`
   * @returns `[..., outFeatures]`
   * @throws {TypeError} When the last size differs
   */
  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }

  /** Sizes and whether there is a bias. */
  override extraRepr(): string {
    return `inFeatures=${this.inFeatures}, outFeatures=${this.outFeatures}, bias=${
      this.bias !== undefined
    }`;
  }
}

/** Returns its input. */
export class Identity extends Module {
  /** Returns `x`. */
  override forward(x: Tensor): Tensor {
    return x;
  }
}
