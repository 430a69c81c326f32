/** Connectionist temporal classification as a module. */
import type { Tensor } from "../tensor/mod.ts";
import { ctcLoss, type Lengths } from "./functional/ctc_loss.ts";
import { Loss, type LossOptions } from "./loss.ts";

/** Options of {@linkcode CTCLoss}. */
export interface CTCLossOptions extends LossOptions {
  /** Class of the blank; 0 by default. */
  readonly blank?: number;
  /** Whether a loss that no alignment fits counts as 0; false by default. */
  readonly zeroInfinity?: boolean;
}

/** Minus the log likelihood of sequences of classes under all alignments. See {@linkcode ctcLoss}. */
export class CTCLoss extends Loss {
  /** Class of the blank. */
  readonly blank: number;
  /** Whether a loss that no alignment fits counts as 0. */
  readonly zeroInfinity: boolean;

  /**
   * Makes the loss.
   * @param options blank, zeroInfinity, reduction
   * @throws {RangeError} When the reduction is unknown
   */
  constructor(options: CTCLossOptions = {}) {
    super(options);
    this.blank = options.blank ?? 0;
    this.zeroInfinity = options.zeroInfinity ?? false;
  }

  /**
   * The loss of a batch.
   * @param logProbs Log probabilities `[T, N, C]` or `[T, C]`
   * @param targets Classes `[N, S]` (or `[S]`), or those of all sequences in one row
   * @param inputLengths Steps of each sequence, at most T
   * @param targetLengths Classes of each sequence
   * @returns 0-d, or `[N]` when the reduction is `none`
   * @throws {TypeError} When shapes, dtypes or the number of lengths do not fit
   */
  override forward(
    logProbs: Tensor,
    targets: Tensor,
    inputLengths: Lengths,
    targetLengths: Lengths,
  ): Tensor {
    const { blank, zeroInfinity, reduction } = this;
    return ctcLoss(logProbs, targets, inputLengths, targetLengths, {
      blank,
      zeroInfinity,
      reduction,
    });
  }

  /** The options. */
  override extraRepr(): string {
    return `blank=${this.blank}, zeroInfinity=${this.zeroInfinity}, reduction=${this.reduction}`;
  }
}
