/** Losses as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { checkProbability } from "./check.ts";
import {
  checkReduction,
  crossEntropy,
  mseLoss,
  nllLoss,
  type Reduction,
} from "./functional/loss.ts";
import { Module } from "./module.ts";

/** Options of a loss that compares values. */
export interface LossOptions {
  /** How the losses become one number; `mean` by default. */
  readonly reduction?: Reduction;
}

/** Options of {@linkcode NLLLoss}. */
export interface NLLLossOptions extends LossOptions {
  /** `[C]`: factor of each class. */
  readonly weight?: Tensor;
  /** Target that counts for nothing; -100 by default. */
  readonly ignoreIndex?: number;
}

/** Options of {@linkcode CrossEntropyLoss}. */
export interface CrossEntropyLossOptions extends NLLLossOptions {
  /** Share of the target that is spread over all classes; 0 by default. */
  readonly labelSmoothing?: number;
}

/** What losses of classes share. */
export abstract class ClassLoss extends Module {
  /** `[C]`: factor of each class. */
  readonly weight: Tensor | undefined;
  /** Target that counts for nothing. */
  readonly ignoreIndex: number;
  /** How the losses become one number. */
  readonly reduction: Reduction;

  /** Checks and keeps the options. */
  constructor(options: NLLLossOptions) {
    super();
    this.weight = options.weight && this.registerBuffer("weight", options.weight);
    this.ignoreIndex = options.ignoreIndex ?? -100;
    this.reduction = checkReduction(options.reduction ?? "mean");
  }

  /** How the losses are reduced, for printing. */
  override extraRepr(): string {
    return `reduction=${this.reduction}`;
  }
}

/** Cross entropy of logits and targets, with targets as classes or as probabilities. See {@linkcode crossEntropy}. */
export class CrossEntropyLoss extends ClassLoss {
  /** Share of the target that is spread over all classes. */
  readonly labelSmoothing: number;

  /**
   * Makes the loss.
   * @param options Class weights, ignored class, label smoothing, reduction
   * @throws {RangeError} When `labelSmoothing` is outside 0 to 1 or the reduction is unknown
   */
  constructor(options: CrossEntropyLossOptions = {}) {
    super(options);
    this.labelSmoothing = options.labelSmoothing ?? 0;
    checkProbability("make CrossEntropyLoss", "labelSmoothing", this.labelSmoothing);
  }

  /**
   * The loss of a batch.
   * @param input Logits `[C]`, `[N, C]` or `[N, C, ...]`
   * @param target Classes `[]`, `[N]` or `[N, ...]` (int32, int64), or probabilities in the shape of `input`
   * @returns 0-d, or the shape of the classes when the reduction is `none`
   * @throws {TypeError} When shapes or dtypes do not match
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, ignoreIndex, labelSmoothing, reduction } = this;
    return crossEntropy(input, target, { weight, ignoreIndex, labelSmoothing, reduction });
  }
}

/** Negative log likelihood of log probabilities and classes. See {@linkcode nllLoss}. */
export class NLLLoss extends ClassLoss {
  /**
   * Makes the loss.
   * @param options Class weights, ignored class, reduction
   */
  constructor(options: NLLLossOptions = {}) {
    super(options);
  }

  /**
   * The loss of a batch.
   * @param input Log probabilities `[C]`, `[N, C]` or `[N, C, ...]`
   * @param target Classes `[]`, `[N]` or `[N, ...]` (int32, int64)
   * @returns 0-d, or the shape of the classes when the reduction is `none`
   * @throws {TypeError} When shapes or dtypes do not match
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, ignoreIndex, reduction } = this;
    return nllLoss(input, target, { weight, ignoreIndex, reduction });
  }
}

/** Squared difference. */
export class MSELoss extends Module {
  /** How the losses become one number. */
  readonly reduction: Reduction;

  /**
   * Makes the loss.
   * @param options The reduction
   */
  constructor(options: LossOptions = {}) {
    super();
    this.reduction = checkReduction(options.reduction ?? "mean");
  }

  /**
   * The loss of a batch.
   * @param input Any shape
   * @param target Same shape
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    return mseLoss(input, target, { reduction: this.reduction });
  }

  /** The reduction. */
  override extraRepr(): string {
    return `reduction=${this.reduction}`;
  }
}
