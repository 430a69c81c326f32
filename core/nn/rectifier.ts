/** Activations that treat positive and negative numbers differently, as modules. */
import type { DType } from "../dtype.ts";
import { full, Parameter, type Tensor } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { celu, checkCelu, checkSlopes, prelu, rrelu, selu } from "./functional/rectifier.ts";
import { Module } from "./module.ts";

/** `max(x, 0)`. */
export class ReLU extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** `x` where positive, else `negativeSlope * x`. */
export class LeakyReLU extends Module {
  /**
   * Makes the layer.
   * @param negativeSlope Factor of negative inputs
   */
  constructor(readonly negativeSlope: number = 0.01) {
    super();
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.leakyRelu(this.negativeSlope);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `negativeSlope=${this.negativeSlope}`;
  }
}

/** Options of {@linkcode PReLU}. */
export interface PReLUOptions {
  /** What the slopes start as; 0.25 by default. */
  readonly init?: number;
  /** dtype of the slopes; float32 by default. */
  readonly dtype?: DType;
}

/** `x` where positive, else `weight * x` with learned slopes (He et al., arXiv:1502.01852). */
export class PReLU extends Module {
  /** `[numParameters]`. */
  readonly weight: Parameter;
  /** What the slopes start as. */
  readonly init: number;

  /**
   * Makes the layer.
   * @param numParameters 1, or the number of channels
   * @param options What the slopes start as
   * @throws {RangeError} When `numParameters` is not a whole number of at least 1
   */
  constructor(readonly numParameters: number = 1, options: PReLUOptions = {}) {
    super();
    checkSize("PReLU", { numParameters });
    const { init = 0.25, dtype = "float32" } = options;
    this.init = init;
    this.weight = new Parameter(full([numParameters], init, { dtype }));
  }

  /** Gives the slopes their first value again. */
  resetParameters(): void {
    this.weight.fill_(this.init).realize();
  }

  /**
   * Elementwise.
   * @param x `[N, C, ...]`
   * @returns Same shape
   * @throws {TypeError} When there are several slopes and not as many channels
   */
  override forward(x: Tensor): Tensor {
    return prelu(x, this.weight);
  }

  /** The number of slopes. */
  override extraRepr(): string {
    return `numParameters=${this.numParameters}`;
  }
}

/** `x` where positive, else `a * x`: `a` random in `lower .. upper` while training, their mean otherwise (Xu et al., arXiv:1505.00853). */
export class RReLU extends Module {
  /**
   * Makes the layer.
   * @param lower Smallest slope
   * @param upper Largest slope
   * @throws {RangeError} When `lower` is above `upper`
   */
  constructor(readonly lower: number = 1 / 8, readonly upper: number = 1 / 3) {
    super();
    checkSlopes("make RReLU", lower, upper);
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return rrelu(x, { lower: this.lower, upper: this.upper, training: this.training });
  }

  /** The slopes. */
  override extraRepr(): string {
    return `lower=${this.lower}, upper=${this.upper}`;
  }
}

/** `x` where positive, else `alpha * (exp(x) - 1)` (Clevert et al., arXiv:1511.07289). */
export class ELU extends Module {
  /**
   * Makes the layer.
   * @param alpha What it approaches far below 0, with the sign changed
   */
  constructor(readonly alpha: number = 1) {
    super();
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.elu(this.alpha);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `alpha=${this.alpha}`;
  }
}

/** `x` where positive, else `alpha * (exp(x / alpha) - 1)` (Barron, arXiv:1704.07483). */
export class CELU extends Module {
  /**
   * Makes the layer.
   * @param alpha What it approaches far below 0, with the sign changed
   * @throws {RangeError} When `alpha` is 0
   */
  constructor(readonly alpha: number = 1) {
    super();
    checkCelu("make CELU", alpha);
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return celu(x, this.alpha);
  }

  /** The arguments. */
  override extraRepr(): string {
    return `alpha=${this.alpha}`;
  }
}

/** Scaled ELU that keeps mean 0 and variance 1 (Klambauer et al., arXiv:1706.02515). */
export class SELU extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return selu(x);
  }
}
