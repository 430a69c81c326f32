/** The dropout family as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { checkProbability } from "./check.ts";
import {
  alphaDropout,
  dropout,
  dropout1d,
  dropout2d,
  dropout3d,
  featureAlphaDropout,
} from "./functional/dropout.ts";
import { Module } from "./module.ts";

/** What the dropout layers share: they act while training only. */
export abstract class DropoutModule extends Module {
  /**
   * Makes the layer.
   * @param p Probability of an element or a channel to be dropped
   * @throws {RangeError} When `p` is outside 0 to 1
   */
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability(`make ${new.target.name}`, "p", p);
  }

  /** Same shape as `x`; `x` itself in evaluation mode. */
  abstract override forward(x: Tensor): Tensor;

  /** The probability. */
  override extraRepr(): string {
    return `p=${this.p}`;
  }
}

/** While training, makes each element zero with probability `p` and scales the rest by `1 / (1 - p)`. */
export class Dropout extends DropoutModule {
  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }
}

/** {@linkcode Dropout} of whole channels of `[N, C, L]` or `[C, L]`. */
export class Dropout1d extends DropoutModule {
  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return dropout1d(x, { p: this.p, training: this.training });
  }
}

/** {@linkcode Dropout} of whole channels of `[N, C, H, W]`. */
export class Dropout2d extends DropoutModule {
  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return dropout2d(x, { p: this.p, training: this.training });
  }
}

/** {@linkcode Dropout} of whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`. */
export class Dropout3d extends DropoutModule {
  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return dropout3d(x, { p: this.p, training: this.training });
  }
}

/** Replaces elements by SELU's negative limit, keeping mean 0 and variance 1. See {@linkcode alphaDropout}. */
export class AlphaDropout extends DropoutModule {
  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return alphaDropout(x, { p: this.p, training: this.training });
  }
}

/** {@linkcode AlphaDropout} of whole channels of `[N, C, ...]`. */
export class FeatureAlphaDropout extends DropoutModule {
  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return featureAlphaDropout(x, { p: this.p, training: this.training });
  }
}
