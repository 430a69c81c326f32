/** Attention with several heads as a module. */
import type { DType } from "../dtype.ts";
import { Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkProbability, checkSize } from "./check.ts";
import { attendHeads, type AttentionCall } from "./functional/multihead_attention.ts";
import { constant_, xavierNormal_, xavierUniform_ } from "./init.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";

/** Options of {@linkcode MultiheadAttention}. */
export interface MultiheadAttentionOptions {
  /** Probability of an attention weight to be dropped in training; 0 by default. */
  readonly dropout?: number;
  /** Whether the projections have biases; true by default. */
  readonly bias?: boolean;
  /** Whether a learned key and value are appended to every sequence; false by default. */
  readonly addBiasKv?: boolean;
  /** Whether a zero key and value are appended; false by default. */
  readonly addZeroAttn?: boolean;
  /** Features of keys; embedDim by default. */
  readonly kdim?: number;
  /** Features of values; embedDim by default. */
  readonly vdim?: number;
  /** Whether tensors are `[N, L, E]` and not `[L, N, E]`; false by default. */
  readonly batchFirst?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** Options of a call of {@linkcode MultiheadAttention}. */
export type MultiheadAttentionCall = AttentionCall;

/** Attention over projections in several heads, joined and projected again (Vaswani et al., arXiv:1706.03762). */
export class MultiheadAttention extends Module {
  /** Features of queries and of the output. */
  readonly embedDim: number;
  /** Number of heads; divides embedDim. */
  readonly numHeads: number;
  /** Options with their defaults. */
  readonly options: Readonly<Required<MultiheadAttentionOptions>>;
  /** `[3 E, E]`: queries, keys and values, when all have E features. */
  readonly in_proj_weight: Parameter | undefined;
  /** `[E, E]` otherwise. */
  readonly q_proj_weight: Parameter | undefined;
  /** `[E, kdim]` otherwise. */
  readonly k_proj_weight: Parameter | undefined;
  /** `[E, vdim]` otherwise. */
  readonly v_proj_weight: Parameter | undefined;
  /** `[3 E]`. */
  readonly in_proj_bias: Parameter | undefined;
  /** `[1, 1, E]`: the learned key. */
  readonly bias_k: Parameter | undefined;
  /** `[1, 1, E]`: the learned value. */
  readonly bias_v: Parameter | undefined;
  /** Projection of the joined heads. */
  readonly out_proj: Linear;

  /**
   * Makes the layer: projections Xavier uniform, biases zero.
   * @throws {RangeError} When a size is not a whole number of at least 1 or the heads do not divide embedDim
   */
  constructor(embedDim: number, numHeads: number, options: MultiheadAttentionOptions = {}) {
    super();
    const o = this.options = {
      dropout: 0,
      bias: true,
      addBiasKv: false,
      addZeroAttn: false,
      kdim: embedDim,
      vdim: embedDim,
      batchFirst: false,
      dtype: "float32",
      ...options,
    };
    checkSize("MultiheadAttention", { embedDim, numHeads, kdim: o.kdim, vdim: o.vdim });
    checkProbability("make MultiheadAttention", "dropout", o.dropout);
    if (embedDim % numHeads !== 0) {
      throw new RangeError(
        `Cannot make MultiheadAttention with embedDim ${embedDim}: it must be a multiple of numHeads ${numHeads}`,
      );
    }
    this.embedDim = embedDim;
    this.numHeads = numHeads;
    const make = (shape: number[]): Parameter => {
      const p = new Parameter(zeros(shape, { dtype: o.dtype }));
      if (shape.length === 2) xavierUniform_(p);
      return p;
    };
    if (o.kdim === embedDim && o.vdim === embedDim) {
      this.in_proj_weight = make([3 * embedDim, embedDim]);
    } else {
      this.q_proj_weight = make([embedDim, embedDim]);
      this.k_proj_weight = make([embedDim, o.kdim]);
      this.v_proj_weight = make([embedDim, o.vdim]);
    }
    if (o.bias) this.in_proj_bias = make([3 * embedDim]);
    this.out_proj = new Linear(embedDim, embedDim, { bias: o.bias, dtype: o.dtype });
    if (this.out_proj.bias !== undefined) constant_(this.out_proj.bias, 0);
    if (o.addBiasKv) {
      this.bias_k = make([1, 1, embedDim]);
      this.bias_v = make([1, 1, embedDim]);
      xavierNormal_(this.bias_k);
      xavierNormal_(this.bias_v);
    }
  }

  /**
   * The attended values, and the attention weights unless they are not needed.
   *
   * @param query `[L, N, E]`, `[N, L, E]` when batchFirst, or `[L, E]`
   * @param key `[S, N, kdim]` likewise
   * @param value `[S, N, vdim]` likewise
   * @param options Masks and what to return
   * @returns The output in the layout of the query, and weights `[N, L, S]` (per head `[N, heads, L, S]`), undefined when not needed
   * @throws {TypeError} When shapes do not fit
   */
  override forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: MultiheadAttentionCall = {},
  ): [Tensor, Tensor | undefined] {
    const { batchFirst, addZeroAttn, dropout } = this.options;
    return attendHeads(
      { name: "MultiheadAttention", batchFirst },
      [query, key, value],
      this.numHeads,
      {
        ...options,
        inProjWeight: this.in_proj_weight,
        inProjBias: this.in_proj_bias,
        biasK: this.bias_k,
        biasV: this.bias_v,
        addZeroAttn,
        dropoutP: dropout,
        outProjWeight: this.out_proj.weight,
        outProjBias: this.out_proj.bias,
        training: this.training,
        useSeparateProjWeight: this.in_proj_weight === undefined,
        qProjWeight: this.q_proj_weight,
        kProjWeight: this.k_proj_weight,
        vProjWeight: this.v_proj_weight,
      },
    );
  }

  /** Sizes. */
  override extraRepr(): string {
    return `${this.embedDim}, ${this.numHeads}`;
  }
}
