/** Activations along a dimension, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { glu, softmin } from "./functional/activation.ts";
import { Module } from "./module.ts";

/** `exp(x)` over its sum along `dim`. */
export class Softmax extends Module {
  /**
   * Makes the layer.
   * @param dim Dimension whose values sum to 1
   */
  constructor(readonly dim: number = -1) {
    super();
  }

  /** Same shape as `x`. */
  override forward(x: Tensor): Tensor {
    return x.softmax(this.dim);
  }

  /** The dimension. */
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** {@linkcode Softmax} of `-x`. */
export class Softmin extends Module {
  /**
   * Makes the layer.
   * @param dim Dimension whose values sum to 1
   */
  constructor(readonly dim: number = -1) {
    super();
  }

  /** Same shape as `x`. */
  override forward(x: Tensor): Tensor {
    return softmin(x, this.dim);
  }

  /** The dimension. */
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** Logarithm of {@linkcode Softmax}, computed without the overflow. */
export class LogSoftmax extends Module {
  /**
   * Makes the layer.
   * @param dim Dimension whose probabilities sum to 1
   */
  constructor(readonly dim: number = -1) {
    super();
  }

  /** Same shape as `x`. */
  override forward(x: Tensor): Tensor {
    return x.logSoftmax(this.dim);
  }

  /** The dimension. */
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** First half times the sigmoid of the second half along `dim` (Dauphin et al., arXiv:1612.08083). */
export class GLU extends Module {
  /**
   * Makes the layer.
   * @param dim Dimension that is halved
   */
  constructor(readonly dim: number = -1) {
    super();
  }

  /** Half the size along `dim`, which must be even. */
  override forward(x: Tensor): Tensor {
    return glu(x, this.dim);
  }

  /** The dimension. */
  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** {@linkcode Softmax} over the channels of each pixel. */
export class Softmax2d extends Module {
  /**
   * Each pixel's channels sum to 1.
   * @param x `[N, C, H, W]` or `[C, H, W]`
   * @returns Same shape
   * @throws {TypeError} When `x` has another number of dimensions
   */
  override forward(x: Tensor): Tensor {
    if (x.ndim !== 3 && x.ndim !== 4) {
      throw new TypeError(
        `Cannot apply Softmax2d to [${x.shape.join(", ")}]: it must be [N, C, H, W] or [C, H, W]`,
      );
    }
    return x.softmax(-3);
  }
}
