/** Dropout as a module. */
import type { Tensor } from "../tensor/mod.ts";
import { checkProbability } from "./check.ts";
import { dropout } from "./functional/dropout.ts";
import { Module } from "./module.ts";

/** While training, makes each element zero with probability `p` and scales the rest by `1 / (1 - p)`. */
export class Dropout extends Module {
  /**
   * Makes the layer.
   * @param p Probability of an element to become zero
   * @throws {RangeError} When `p` is outside 0 to 1
   */
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability("make Dropout", "p", p);
  }

  /** Same shape as `x`; `x` itself in evaluation mode. */
  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }

  /** The probability. */
  override extraRepr(): string {
    return `p=${this.p}`;
  }
}
