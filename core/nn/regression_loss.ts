/** Losses of numbers that should equal others, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { huberLoss, l1Loss, mseLoss, smoothL1Loss } from "./functional/regression_loss.ts";
import { checkPositive } from "./functional/reduction.ts";
import { Loss, type LossOptions } from "./loss.ts";

/** Squared difference. See {@linkcode mseLoss}. */
export class MSELoss extends Loss {
  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target Same shape
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    return mseLoss(input, target, { reduction: this.reduction });
  }
}

/** Absolute difference. See {@linkcode l1Loss}. */
export class L1Loss extends Loss {
  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target Same shape
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    return l1Loss(input, target, { reduction: this.reduction });
  }
}

/** Options of {@linkcode SmoothL1Loss}. */
export interface SmoothL1LossOptions extends LossOptions {
  /** Difference where the square goes over into a line; 1 by default. */
  readonly beta?: number;
}

/** Squared difference below `beta`, absolute above. See {@linkcode smoothL1Loss}. */
export class SmoothL1Loss extends Loss {
  /** Difference where the square goes over into a line. */
  readonly beta: number;

  /**
   * Makes the loss.
   * @param options beta, reduction
   * @throws {RangeError} When the reduction is unknown or `beta` is negative
   */
  constructor(options: SmoothL1LossOptions = {}) {
    super(options);
    this.beta = options.beta ?? 1;
    checkPositive("SmoothL1Loss", "beta", this.beta, { orZero: true });
  }

  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target Same shape
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { beta, reduction } = this;
    return smoothL1Loss(input, target, { beta, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `beta=${this.beta}, reduction=${this.reduction}`;
  }
}

/** Options of {@linkcode HuberLoss}. */
export interface HuberLossOptions extends LossOptions {
  /** Difference where the square goes over into a line; 1 by default. */
  readonly delta?: number;
}

/** Squared difference up to `delta`, `delta` times the absolute one above. See {@linkcode huberLoss}. */
export class HuberLoss extends Loss {
  /** Difference where the square goes over into a line. */
  readonly delta: number;

  /**
   * Makes the loss.
   * @param options delta, reduction
   * @throws {RangeError} When the reduction is unknown or `delta` is not above 0
   */
  constructor(options: HuberLossOptions = {}) {
    super(options);
    this.delta = options.delta ?? 1;
    checkPositive("HuberLoss", "delta", this.delta);
  }

  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target Same shape
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { delta, reduction } = this;
    return huberLoss(input, target, { delta, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `delta=${this.delta}, reduction=${this.reduction}`;
  }
}
