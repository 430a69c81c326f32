/** Rows of a table looked up by index. */
import type { DType } from "../dtype.ts";
import { noGrad, Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { embedding } from "./functional/embedding.ts";
import { normal_ } from "./init.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode Embedding}. */
export interface EmbeddingOptions {
  /** Row that starts as zeros and gets no gradient; negative counts from the end. */
  readonly paddingIdx?: number;
  /** Rows that are looked up and longer than this are shortened to it first, in the table itself. */
  readonly maxNorm?: number;
  /** Exponent of the norm for `maxNorm`; 2 by default. */
  readonly normType?: number;
  /** Whether the gradient of a row is divided by how often it was looked up; false by default. */
  readonly scaleGradByFreq?: boolean;
  /** dtype of the table; float32 by default. */
  readonly dtype?: DType;
}

/** A table of `numEmbeddings` rows, drawn from the standard normal distribution, looked up by integer tensors. */
export class Embedding extends Module {
  /** `[numEmbeddings, embeddingDim]`. */
  readonly weight: Parameter;
  /** Row without gradient, not negative. */
  readonly paddingIdx: number | undefined;
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
   * @throws {RangeError} When a size is not a whole number of at least 1, or `paddingIdx` names no row
   */
  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    options: EmbeddingOptions = {},
  ) {
    super();
    checkSize("Embedding", { numEmbeddings, embeddingDim });
    const { paddingIdx, maxNorm, normType = 2, scaleGradByFreq = false, dtype = "float32" } =
      options;
    this.paddingIdx = checkPaddingIdx("Embedding", paddingIdx, numEmbeddings);
    this.maxNorm = maxNorm;
    this.normType = normType;
    this.scaleGradByFreq = scaleGradByFreq;
    this.weight = new Parameter(zeros([numEmbeddings, embeddingDim], { dtype }));
    this.resetParameters();
  }

  /** Draws the table anew. */
  resetParameters(): void {
    initTable(this.weight, this.paddingIdx);
  }

  /**
   * Rows of the table: `[...]` to `[..., embeddingDim]`.
   * @param index int32 or int64, any shape `[...]`
   * @returns `[..., embeddingDim]`
   * @throws {TypeError} When `index` holds floats
   * @throws {RangeError} When it is computed and an index names no row
   */
  override forward(index: Tensor): Tensor {
    const { paddingIdx, maxNorm, normType, scaleGradByFreq } = this;
    return embedding(index, this.weight, { paddingIdx, maxNorm, normType, scaleGradByFreq });
  }

  /** The sizes. */
  override extraRepr(): string {
    const padding = this.paddingIdx === undefined ? "" : `, paddingIdx=${this.paddingIdx}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}

/**
 * The padding row counted from the front.
 *
 * @throws {RangeError} When there is no such row
 */
export function checkPaddingIdx(
  name: string,
  paddingIdx: number | undefined,
  rows: number,
): number | undefined {
  if (paddingIdx === undefined) return undefined;
  if (Number.isInteger(paddingIdx) && paddingIdx >= -rows && paddingIdx < rows) {
    return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
  }
  throw new RangeError(
    `Cannot make ${name} with paddingIdx ${paddingIdx}: the table has ${rows} rows, so it must be from -${rows} to ${
      rows - 1
    }`,
  );
}

/** Draws a table from the standard normal distribution, the padding row as zeros. */
export function initTable(weight: Parameter, paddingIdx: number | undefined): void {
  normal_(weight);
  if (paddingIdx === undefined) return;
  const keepRow = Array.from({ length: weight.shape[0] }, (_, i) => i === paddingIdx ? 0 : 1);
  noGrad(() => {
    const rows = zeros([weight.shape[0]]).copy_(keepRow).unsqueeze(-1).to(weight.dtype);
    weight.assign(weight.mul(rows)).realize();
  });
}
