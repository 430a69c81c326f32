/** Smooth activations as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { logsigmoid, mish, softsign, tanhshrink } from "./functional/activation.ts";
import { Module } from "./module.ts";

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

/** `log(sigmoid(x))`, without overflow. */
export class LogSigmoid extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return logsigmoid(x);
  }
}

/** `x * sigmoid(x)`. */
export class SiLU extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.silu();
  }
}

/** `x * tanh(softplus(x))` (Misra, arXiv:1908.08681). */
export class Mish extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return mish(x);
  }
}

/** `x / (1 + |x|)`. */
export class Softsign extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return softsign(x);
  }
}

/** `x - tanh(x)`. */
export class Tanhshrink extends Module {
  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return tanhshrink(x);
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
   * @throws {RangeError} When the form is none of the two
   */
  constructor(options: GELUOptions = {}) {
    super();
    this.approximate = options.approximate ?? "none";
    if (this.approximate !== "none" && this.approximate !== "tanh") {
      throw new RangeError(
        `Cannot make GELU with approximate "${this.approximate}": it must be "none" or "tanh"`,
      );
    }
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

/** `log(1 + exp(beta * x)) / beta`, linear where `beta * x` is above `threshold`. */
export class Softplus extends Module {
  /**
   * Makes the layer.
   * @param beta Sharpness of the bend
   * @param threshold Where it becomes linear
   */
  constructor(readonly beta: number = 1, readonly threshold: number = 20) {
    super();
  }

  /** Elementwise. */
  override forward(x: Tensor): Tensor {
    return x.softplus({ beta: this.beta, threshold: this.threshold });
  }

  /** The arguments. */
  override extraRepr(): string {
    return `beta=${this.beta}, threshold=${this.threshold}`;
  }
}
