/** Losses of probabilities and of the parameters of distributions, as modules. */
import type { Tensor } from "../tensor/mod.ts";
import {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  gaussianNllLoss,
  klDiv,
  poissonNllLoss,
} from "./functional/probability_loss.ts";
import { checkPositive, checkReduction, type Reduction } from "./functional/reduction.ts";
import { Module } from "./module.ts";
import { Loss, type LossOptions } from "./loss.ts";

/** Options of {@linkcode BCELoss}. */
export interface BCELossOptions extends LossOptions {
  /** Factor of each element; broadcasts. */
  readonly weight?: Tensor;
}

/** Binary cross entropy of probabilities. See {@linkcode binaryCrossEntropy}. */
export class BCELoss extends Loss {
  /** Factor of each element. */
  readonly weight: Tensor | undefined;

  /**
   * Makes the loss.
   * @param options weight, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: BCELossOptions = {}) {
    super(options);
    this.weight = options.weight && this.registerBuffer("weight", options.weight);
  }

  /**
   * The loss of a batch.
   * @param input Probabilities, any shape
   * @param target Same shape, between 0 and 1
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When shapes differ
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, reduction } = this;
    return binaryCrossEntropy(input, target, { weight, reduction });
  }
}

/** Options of {@linkcode BCEWithLogitsLoss}. */
export interface BCEWithLogitsLossOptions extends LossOptions {
  /** Factor of each element; broadcasts. */
  readonly weight?: Tensor;
  /** Factor of the positive targets; broadcasts. */
  readonly posWeight?: Tensor;
}

/** Binary cross entropy of logits, without overflow. See {@linkcode binaryCrossEntropyWithLogits}. */
export class BCEWithLogitsLoss extends Loss {
  /** Factor of each element. */
  readonly weight: Tensor | undefined;
  /** Factor of the positive targets, under PyTorch's key. */
  readonly pos_weight: Tensor | undefined;

  /**
   * Makes the loss.
   * @param options weight, posWeight, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: BCEWithLogitsLossOptions = {}) {
    super(options);
    this.weight = options.weight && this.registerBuffer("weight", options.weight);
    this.pos_weight = options.posWeight && this.registerBuffer("pos_weight", options.posWeight);
  }

  /**
   * The loss of a batch.
   * @param input Logits, any shape
   * @param target Same shape, between 0 and 1
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When shapes differ
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { weight, pos_weight: posWeight, reduction } = this;
    return binaryCrossEntropyWithLogits(input, target, { weight, posWeight, reduction });
  }
}

/** Options of {@linkcode KLDivLoss}. */
export interface KLDivLossOptions {
  /** `mean` over all elements by default, as in PyTorch; `batchmean` divides by the first size alone. */
  readonly reduction?: Reduction | "batchmean";
  /** Whether the target holds logarithms; false by default. */
  readonly logTarget?: boolean;
}

/** Kullback-Leibler divergence of log probabilities. See {@linkcode klDiv}. */
export class KLDivLoss extends Module {
  /** How the losses become one number. */
  readonly reduction: Reduction | "batchmean";
  /** Whether the target holds logarithms. */
  readonly logTarget: boolean;

  /**
   * Makes the loss.
   * @param options logTarget, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: KLDivLossOptions = {}) {
    super();
    this.reduction = options.reduction ?? "mean";
    if (this.reduction !== "batchmean") checkReduction(this.reduction);
    this.logTarget = options.logTarget ?? false;
  }

  /**
   * The loss of a batch.
   * @param input Log probabilities, any shape
   * @param target Probabilities (or their logarithms); broadcasts
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    return klDiv(input, target, { reduction: this.reduction, logTarget: this.logTarget });
  }

  /** The options. */
  override extraRepr(): string {
    return `logTarget=${this.logTarget}, reduction=${this.reduction}`;
  }
}

/** Options of {@linkcode GaussianNLLLoss}. */
export interface GaussianNLLLossOptions extends LossOptions {
  /** Whether the constant `0.5 * log(2 * pi)` is added; false by default. */
  readonly full?: boolean;
  /** Smallest variance; 1e-6 by default. */
  readonly eps?: number;
}

/** Negative log likelihood of normal distributions. See {@linkcode gaussianNllLoss}. */
export class GaussianNLLLoss extends Loss {
  /** Whether the constant `0.5 * log(2 * pi)` is added. */
  readonly full: boolean;
  /** Smallest variance. */
  readonly eps: number;

  /**
   * Makes the loss.
   * @param options full, eps, reduction
   * @throws {RangeError} When the reduction is unknown or `eps` is not above 0
   */
  constructor(options: GaussianNLLLossOptions = {}) {
    super(options);
    this.full = options.full ?? false;
    this.eps = options.eps ?? 1e-6;
    checkPositive("GaussianNLLLoss", "eps", this.eps);
  }

  /**
   * The loss of a batch.
   * @param input Expectations, any shape
   * @param target Same shape, or broadcast
   * @param variance A number, the shape of `input`, that shape without its last size, or with one size being 1
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When shapes do not fit
   */
  override forward(input: Tensor, target: Tensor, variance: Tensor | number): Tensor {
    const { full, eps, reduction } = this;
    return gaussianNllLoss(input, target, variance, { full, eps, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `full=${this.full}, eps=${this.eps}, reduction=${this.reduction}`;
  }
}

/** Options of {@linkcode PoissonNLLLoss}. */
export interface PoissonNLLLossOptions extends LossOptions {
  /** Whether the input is the logarithm of the rate; true by default. */
  readonly logInput?: boolean;
  /** Whether Stirling's approximation of `log(target!)` is added; false by default. */
  readonly full?: boolean;
  /** Keeps the logarithm from 0 when `logInput` is false; 1e-8 by default. */
  readonly eps?: number;
}

/** Negative log likelihood of Poisson distributions. See {@linkcode poissonNllLoss}. */
export class PoissonNLLLoss extends Loss {
  /** Whether the input is the logarithm of the rate. */
  readonly logInput: boolean;
  /** Whether Stirling's approximation of `log(target!)` is added. */
  readonly full: boolean;
  /** Keeps the logarithm from 0 when `logInput` is false. */
  readonly eps: number;

  /**
   * Makes the loss.
   * @param options logInput, full, eps, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: PoissonNLLLossOptions = {}) {
    super(options);
    this.logInput = options.logInput ?? true;
    this.full = options.full ?? false;
    this.eps = options.eps ?? 1e-8;
  }

  /**
   * The loss of a batch.
   * @param input Rates or their logarithms, any shape
   * @param target Counts; broadcasts
   * @returns 0-d, or the shape of `input` when the reduction is `none`
   * @throws {TypeError} When the shapes do not broadcast
   */
  override forward(input: Tensor, target: Tensor): Tensor {
    const { logInput, full, eps, reduction } = this;
    return poissonNllLoss(input, target, { logInput, full, eps, reduction });
  }

  /** The options. */
  override extraRepr(): string {
    return `logInput=${this.logInput}, full=${this.full}, eps=${this.eps}, reduction=${this.reduction}`;
  }
}
