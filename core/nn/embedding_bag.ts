/** Sums, means and maxima of rows of a table. */
import type { DType } from "../dtype.ts";
import { Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { checkPaddingIdx, initTable } from "./embedding.ts";
import { type BagMode, checkBag, embeddingBag } from "./functional/embedding_bag.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode EmbeddingBag}. */
export interface EmbeddingBagModuleOptions {
  /** `mean` by default. */
  readonly mode?: BagMode;
  /** Row that starts as zeros, gets no gradient and does not count; negative counts from the end. */
  readonly paddingIdx?: number;
  /** Whether the last offset is the end of the last bag; false by default. */
  readonly includeLastOffset?: boolean;
  /** Rows that are looked up and longer than this are shortened to it first, in the table itself. */
  readonly maxNorm?: number;
  /** Exponent of the norm for `maxNorm`; 2 by default. */
  readonly normType?: number;
  /** Whether the gradient of a row is divided by how often it was looked up; false by default. */
  readonly scaleGradByFreq?: boolean;
  /** dtype of the table; float32 by default. */
  readonly dtype?: DType;
}

/** A table of `numEmbeddings` rows, of which bags are summed, averaged or maximised. See {@linkcode embeddingBag}. */
export class EmbeddingBag extends Module {
  /** `[numEmbeddings, embeddingDim]`. */
  readonly weight: Parameter;
  /** How the rows of a bag become one. */
  readonly mode: BagMode;
  /** Row that does not count, not negative. */
  readonly paddingIdx: number | undefined;
  /** Whether the last offset is the end of the last bag. */
  readonly includeLastOffset: boolean;
  /** Largest norm of rows that are looked up. */
  readonly maxNorm: number | undefined;
  /** Exponent of the norm. */
  readonly normType: number;
  /** Whether the gradient of a row is divided by how often it was looked up. */
  readonly scaleGradByFreq: boolean;

  /**
   * Makes the table, normally distributed.
   * @param numEmbeddings Rows of the table
   * @param embeddingDim Size of a row
   * @param options Mode, padding, offsets, limits
   * @throws {RangeError} When a size is not a whole number of at least 1, `paddingIdx` names no row or options do not go together
   */
  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    options: EmbeddingBagModuleOptions = {},
  ) {
    super();
    checkSize("EmbeddingBag", { numEmbeddings, embeddingDim });
    const { mode = "mean", dtype = "float32", scaleGradByFreq = false } = options;
    checkBag(mode, { scaleGradByFreq });
    this.mode = mode;
    this.paddingIdx = checkPaddingIdx("EmbeddingBag", options.paddingIdx, numEmbeddings);
    this.includeLastOffset = options.includeLastOffset ?? false;
    this.maxNorm = options.maxNorm;
    this.normType = options.normType ?? 2;
    this.scaleGradByFreq = scaleGradByFreq;
    this.weight = new Parameter(zeros([numEmbeddings, embeddingDim], { dtype }));
    this.resetParameters();
  }

  /** Draws the table anew. */
  resetParameters(): void {
    initTable(this.weight, this.paddingIdx);
  }

  /**
   * One row for each bag.
   * @param index `[B, L]`, or `[n]` with offsets; int32 or int64
   * @param offsets `[B]`: where each bag begins in a 1-D index
   * @param perSampleWeights Factor of each row, in the shape of the index; for `sum` alone
   * @returns `[B, embeddingDim]`
   * @throws {TypeError} When shapes or dtypes do not fit
   * @throws {RangeError} When it is computed and an index names no row
   */
  override forward(index: Tensor, offsets?: Tensor, perSampleWeights?: Tensor): Tensor {
    const { mode, paddingIdx, includeLastOffset, maxNorm, normType, scaleGradByFreq } = this;
    return embeddingBag(index, this.weight, {
      offsets,
      perSampleWeights,
      mode,
      paddingIdx,
      includeLastOffset,
      maxNorm,
      normType,
      scaleGradByFreq,
    });
  }

  /** The sizes and the mode. */
  override extraRepr(): string {
    const { numEmbeddings, embeddingDim, maxNorm, mode, paddingIdx } = this;
    const limit = maxNorm === undefined ? "" : `, maxNorm=${maxNorm}`;
    const padding = paddingIdx === undefined ? "" : `, paddingIdx=${paddingIdx}`;
    return `${numEmbeddings}, ${embeddingDim}${limit}, mode=${mode}${padding}`;
  }
}
