/** Losses of classes as modules. */
import type { Tensor } from "../tensor/mod.ts";
import { checkProbability } from "./check.ts";
import { crossEntropy, nllLoss } from "./functional/class_loss.ts";
import { Loss, type LossOptions } from "./loss.ts";

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
export abstract class ClassLoss extends Loss {
  /** `[C]`: factor of each class. */
  readonly weight: Tensor | undefined;
  /** Target that counts for nothing. */
  readonly ignoreIndex: number;

  /** Checks and keeps the options. */
  constructor(options: NLLLossOptions) {
    super(options);
    this.weight = options.weight && this.registerBuffer("weight", options.weight);
    this.ignoreIndex = options.ignoreIndex ?? -100;
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
