/** Activations as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { Module } from "./module.ts";

/** `max(x, 0)`. */
export class ReLU extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** `tanh(x)`. */
export class Tanh extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** `1 / (1 + exp(-x))`. */
export class Sigmoid extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** `x * sigmoid(x)`. */
export class SiLU extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.silu();
  }
}

/** Options of {@linkcode GELU}. */
export interface GELUOptions {
  /** `none`: with the error function; `tanh`: the approximation. `none` by default. */
  readonly approximate?: "none" | "tanh";
}

/** `x * Phi(x)` with the normal distribution function (Hendrycks and Gimpel, arXiv:1606.08415). */
export class GELU extends Module {
  /** Form that is computed. */
  readonly approximate: "none" | "tanh";

  /**
   * Makes the layer.
   * @param options Which form is computed
   */
  constructor(options: GELUOptions = {}) {
    super();
    this.approximate = options.approximate ?? "none";
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.approximate });
  }

  /** The form. */
  override extraRepr(): string {
    return `approximate=${this.approximate}`;
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

  /** The slope. */
  override extraRepr(): string {
    return `negativeSlope=${this.negativeSlope}`;
  }
}

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
