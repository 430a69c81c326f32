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
  /** dtype of the table; float32 by default. */
  readonly dtype?: DType;
}

/** A table of `numEmbeddings` rows, drawn from the standard normal distribution, looked up by integer tensors. */
export class Embedding extends Module {
  /** `[numEmbeddings, embeddingDim]`. */
  readonly weight: Parameter;
  /** Row without gradient, not negative. */
  readonly paddingIdx: number | undefined;

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
    const { paddingIdx, dtype = "float32" } = options;
    if (paddingIdx !== undefined && !(paddingIdx >= -numEmbeddings && paddingIdx < numEmbeddings)) {
      throw new RangeError(
        `Cannot make Embedding with paddingIdx ${paddingIdx}: the table has ${numEmbeddings} rows`,
      );
    }
    this.paddingIdx = paddingIdx !== undefined && paddingIdx < 0
      ? paddingIdx + numEmbeddings
      : paddingIdx;
    this.weight = new Parameter(zeros([numEmbeddings, embeddingDim], { dtype }));
    this.resetParameters();
  }

  /** Draws the table anew. */
  resetParameters(): void {
    normal_(this.weight);
    if (this.paddingIdx === undefined) return;
    const { paddingIdx, numEmbeddings } = this;
    const keepRow = Array.from({ length: numEmbeddings }, (_, i) => i === paddingIdx ? 0 : 1);
    noGrad(() => {
      const rows = zeros([numEmbeddings]).copy_(keepRow).unsqueeze(-1).to(this.weight.dtype);
      this.weight.assign(this.weight.mul(rows)).realize();
    });
  }

  /**
   * Rows of the table: `[...]` to `[..., embeddingDim]`.
   * @param index int32 or int64, any shape `[...]`
   * @returns `[..., embeddingDim]`
   * @throws {TypeError} When `index` holds floats
   * @throws {RangeError} When it is computed and an index names no row
   */
  override forward(index: Tensor): Tensor {
    return embedding(index, this.weight, { paddingIdx: this.paddingIdx });
  }

  /** The sizes. */
  override extraRepr(): string {
    const padding = this.paddingIdx === undefined ? "" : `, paddingIdx=${this.paddingIdx}`;
    return `${this.numEmbeddings}, ${this.embeddingDim}${padding}`;
  }
}
