/** Losses that vanish beyond a margin, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import {
  hingeEmbeddingLoss,
  marginRankingLoss,
  multilabelMarginLoss,
  multilabelSoftMarginLoss,
  multiMarginLoss,
  softMarginLoss,
} from "./functional/margin_loss.ts";
import { Loss, type LossOptions } from "./loss.ts";

/** Options of {@linkcode HingeEmbeddingLoss}. */
export interface HingeEmbeddingLossOptions extends LossOptions {
  /** From where on there is no loss; 1 by default. */
  readonly margin?: number;
}

/** `input` where the target is 1, `max(0, margin - input)` where it is -1. See {@linkcode hingeEmbeddingLoss}. */
export class HingeEmbeddingLoss extends Loss {
  /** From where on there is no loss. */
  readonly margin: number;

  /**
   * Makes the loss.
   * @param options margin, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: HingeEmbeddingLossOptions = {}) {
    super(options);
    this.margin = options.margin ?? 1;
  }

  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target 1 or -1; broadcasts
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { margin, reduction } = this;
    return hingeEmbeddingLoss(input, target, { margin, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `margin=${this.margin}, reduction=${this.reduction}`;
  }
}

/** `log(1 + exp(-target * input))`. See {@linkcode softMarginLoss}. */
export class SoftMarginLoss extends Loss {
  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target 1 or -1; broadcasts
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    return softMarginLoss(input, target, { reduction: this.reduction });
  }
}

/** Options of {@linkcode MarginRankingLoss}. */
export interface MarginRankingLossOptions extends LossOptions {
  /** From where on there is no loss; 0 by default. */
  readonly margin?: number;
}

/** `max(0, margin - target * (input1 - input2))`. See {@linkcode marginRankingLoss}. */
export class MarginRankingLoss extends Loss {
  /** From where on there is no loss. */
  readonly margin: number;

  /**
   * Makes the loss.
   * @param options margin, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: MarginRankingLossOptions = {}) {
    super(options);
    this.margin = options.margin ?? 0;
  }

  /**
   * The loss of a batch.
   * @param input1 Any shape
   * @param input2 As many dimensions
   * @param target 1 where `input1` should be larger, -1 where `input2` should
   * @returns 0-d, or the broadcast shape when the reduction is `none`
   * @throws {TypeError} When the numbers of dimensions differ
   */
  override forward(input1: Tensor, input2: Tensor, target: Tensor): Tensor {
    const { margin, reduction } = this;
    return marginRankingLoss(input1, input2, target, { margin, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `margin=${this.margin}, reduction=${this.reduction}`;
  }
}

/** Options of {@linkcode MultiMarginLoss}. */
export interface MultiMarginLossOptions extends LossOptions {
  /** Exponent, 1 (the default) or 2. */
  readonly p?: number;
  /** Lead that the target must have; 1 by default. */
  readonly margin?: number;
  /** `[C]`: factor of each class. */
  readonly weight?: Tensor;
}

/** Hinge loss of several classes. See {@linkcode multiMarginLoss}. */
export class MultiMarginLoss extends Loss {
  /** Exponent, 1 (the default) or 2. */
  readonly p: number;
  /** Lead that the target must have. */
  readonly margin: number;
  /** `[C]`: factor of each class. */
  readonly weight: Tensor | undefined;

  /**
   * Makes the loss.
   * @param options p, margin, weight, reduction
   * @throws {RangeError} When the reduction is unknown or `p` is neither 1 nor 2
   */
  constructor(options: MultiMarginLossOptions = {}) {
    super(options);
    this.p = options.p ?? 1;
    this.margin = options.margin ?? 1;
    this.weight = options.weight && this.registerBuffer("weight", options.weight);
    if (this.p !== 1 && this.p !== 2) {
      throw new RangeError(`Cannot make MultiMarginLoss with p ${this.p}: it must be 1 or 2`);
    }
  }

  /**
   * The loss of a batch.
   * @param input Scores `[N, C]` or `[C]`
   * @param target Classes `[N]` or `[]`
   * @returns 0-d, or the shape of the target when the reduction is `none`
   * @throws {TypeError} When shapes do not fit
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { p, margin, weight, reduction } = this;
    return multiMarginLoss(input, target, { p, margin, weight, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `p=${this.p}, margin=${this.margin}, reduction=${this.reduction}`;
  }
}

/** Hinge loss of several classes at once. See {@linkcode multilabelMarginLoss}. */
export class MultiLabelMarginLoss extends Loss {
  /**
   * The loss of a batch.
   * @param input Scores `[N, C]` or `[C]`
   * @param target Classes in the shape of `input`; those from the first -1 on do not count
   * @returns 0-d, or `[N]` when the reduction is `none`
   * @throws {TypeError} When shapes do not fit
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    return multilabelMarginLoss(input, target, { reduction: this.reduction });
  }
}

/** Options of {@linkcode MultiLabelSoftMarginLoss}. */
export interface MultiLabelSoftMarginLossOptions extends LossOptions {
  /** `[C]`: factor of each class; broadcasts. */
  readonly weight?: Tensor;
}

/** Binary cross entropy of several classes, averaged over them. See {@linkcode multilabelSoftMarginLoss}. */
export class MultiLabelSoftMarginLoss extends Loss {
  /** `[C]`: factor of each class. */
  readonly weight: Tensor | undefined;

  /**
   * Makes the loss.
   * @param options weight, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: MultiLabelSoftMarginLossOptions = {}) {
    super(options);
    this.weight = options.weight && this.registerBuffer("weight", options.weight);
  }

  /**
   * The loss of a batch.
   * @param input Scores `[..., C]`
   * @param target 0 or 1 in the shape of `input`
   * @returns 0-d, or `[...]` when the reduction is `none`
   * @throws {TypeError} When shapes differ
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, reduction } = this;
    return multilabelSoftMarginLoss(input, target, { weight, reduction });
  }
}
