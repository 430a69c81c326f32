/** What losses as modules share. */
import { checkReduction, type Reduction } from "./functional/reduction.ts";
import { Module } from "./module.ts";

/** Options of a loss that has no others. */
export interface LossOptions {
  /** How the losses become one number; `mean` by default. */
  readonly reduction?: Reduction;
}

/** A loss with a reduction. */
export abstract class Loss extends Module {
  /** How the losses become one number. */
  readonly reduction: Reduction;

  /**
   * Checks and keeps the reduction.
   * @param options The reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: LossOptions = {}) {
    super();
    this.reduction = checkReduction(options.reduction ?? "mean");
  }

  /** The reduction. */
  override extraRepr(): string {
    return `reduction=${this.reduction}`;
  }
}
