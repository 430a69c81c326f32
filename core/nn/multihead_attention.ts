/** Attention with several heads as a module. */
import type { DType } from "../dtype.ts";
import { cat, Parameter, type Tensor, zeros } from "../tensor/mod.ts";
import { checkProbability, checkSize } from "./check.ts";
import { dropout } from "./functional/dropout.ts";
import { scaledDotProductAttention } from "./functional/attention.ts";
import { linear } from "./functional/linear.ts";
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
export interface MultiheadAttentionCall {
  /** `[N, S]` or `[S]`: bool, true where a key is ignored, or a float that is added. */
  readonly keyPaddingMask?: Tensor;
  /** Whether the weights are returned too; true by default. Without them nothing of size `L x S` needs to be kept. */
  readonly needWeights?: boolean;
  /** `[L, S]` or `[N * heads, L, S]`: bool, true where attention is not allowed, or a float that is added. */
  readonly attnMask?: Tensor;
  /** Whether returned weights are averaged over the heads; true by default. */
  readonly averageAttnWeights?: boolean;
  /** Says that attnMask is the causal one; the mask decides. */
  readonly isCausal?: boolean;
}

const text = (t: Tensor): string => `[${t.shape.join(", ")}]`;

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

  /** Queries, keys and values `[N, L, E]` after their projections. */
  #project(query: Tensor, key: Tensor, value: Tensor): Tensor[] {
    const biases = this.in_proj_bias?.chunk(3);
    const joint = this.in_proj_weight;
    if (joint !== undefined && query === key && key === value) {
      // Self-attention: one product instead of three.
      return linear(query, joint, this.in_proj_bias).chunk(3, -1);
    }
    const weights = joint?.chunk(3) ??
      [this.q_proj_weight!, this.k_proj_weight!, this.v_proj_weight!];
    return [query, key, value].map((x, i) => linear(x, weights[i], biases?.[i]));
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
    const { batchFirst, addZeroAttn, dropout: p } = this.options;
    const { needWeights = true, averageAttnWeights = true } = options;
    this.#check(query, key, value);
    const single = query.ndim === 2, heads = this.numHeads;
    const same = query === key && key === value;
    const toBatch = (x: Tensor) => single ? x.unsqueeze(0) : batchFirst ? x : x.transpose(0, 1);
    const q0 = toBatch(query);
    let [q, k, v] = same
      ? this.#project(q0, q0, q0)
      : this.#project(q0, toBatch(key), toBatch(value));
    const [batch, length] = q.shape;
    let extra = 0;
    const append = (x: Tensor, row: Tensor) => cat([x, row.expand(batch, 1, this.embedDim)], 1);
    if (this.bias_k !== undefined) {
      [k, v] = [append(k, this.bias_k), append(v, this.bias_v!)];
      extra++;
    }
    const split = (x: Tensor) =>
      x.reshape(batch, x.shape[1], heads, this.embedDim / heads).transpose(1, 2);
    if (addZeroAttn) {
      const zero = zeros([1, 1, this.embedDim], { dtype: k.dtype, device: k.device });
      [k, v] = [append(k, zero), append(v, zero)];
      extra++;
    }
    const mask = this.#mask(options, batch, single, extra, q);
    const training = this.training && p > 0;
    [q, k, v] = [split(q), split(k), split(v)];
    let joined: Tensor, weights: Tensor | undefined;
    if (needWeights) {
      let scores = q.mul(1 / Math.sqrt(this.embedDim / heads)).matmul(k.transpose(-2, -1));
      if (mask !== undefined) scores = scores.add(mask);
      weights = dropout(scores.softmax(-1), { p, training });
      joined = weights.matmul(v);
      if (averageAttnWeights) weights = weights.mean(1);
      if (single) weights = weights.squeeze(0);
    } else {
      joined = scaledDotProductAttention(q, k, v, { attnMask: mask, dropoutP: training ? p : 0 });
    }
    const y = this.out_proj.forward(
      joined.transpose(1, 2).reshape(batch, length, this.embedDim),
    );
    return [single ? y.squeeze(0) : batchFirst ? y : y.transpose(0, 1), weights];
  }

  /** Both masks as one that is added to the scores, broadcast to `[N, heads, L, S]`, open for the appended keys. */
  #mask(
    { attnMask, keyPaddingMask }: MultiheadAttentionCall,
    batch: number,
    single: boolean,
    extra: number,
    q: Tensor,
  ): Tensor | undefined {
    const additive = (m: Tensor) =>
      m.dtype === "bool"
        ? zeros(m.shape, { dtype: q.dtype, device: q.device }).maskedFill(m, -Infinity)
        : m.to(q.dtype);
    const open = (m: Tensor) => extra === 0 ? m : m.pad([0, extra]);
    let mask: Tensor | undefined;
    if (attnMask !== undefined) {
      const m = open(additive(attnMask));
      const fits = attnMask.ndim === 2 ||
        (attnMask.ndim === 3 && attnMask.shape[0] === batch * this.numHeads);
      if (!fits) {
        throw new TypeError(
          `Cannot apply MultiheadAttention with attnMask ${text(attnMask)}: it must be [L, S] or [${
            batch * this.numHeads
          }, L, S]`,
        );
      }
      mask = m.ndim === 2 ? m : m.reshape(batch, this.numHeads, m.shape[1], m.shape[2]);
    }
    if (keyPaddingMask !== undefined) {
      const wanted = single ? 1 : 2;
      if (keyPaddingMask.ndim !== wanted || (!single && keyPaddingMask.shape[0] !== batch)) {
        throw new TypeError(
          `Cannot apply MultiheadAttention with keyPaddingMask ${
            text(keyPaddingMask)
          }: it must be ${single ? "[S]" : `[${batch}, S]`}`,
        );
      }
      const m = open(additive(keyPaddingMask)).reshape(single ? 1 : batch, 1, 1, -1);
      mask = mask === undefined ? m : mask.add(m);
    }
    return mask;
  }

  #check(query: Tensor, key: Tensor, value: Tensor): void {
    const { kdim, vdim, batchFirst } = this.options;
    const wanted = [this.embedDim, kdim, vdim];
    const names = ["query", "key", "value"], sizes = ["embedDim", "kdim", "vdim"];
    [query, key, value].forEach((t, i) => {
      if (t.ndim === query.ndim && (t.ndim === 2 || t.ndim === 3) && t.shape.at(-1) === wanted[i]) {
        return;
      }
      throw new TypeError(
        `Cannot apply MultiheadAttention to ${names[i]} ${text(t)}: it must be ${
          batchFirst ? "[N, L" : "[L, N"
        }, ${wanted[i]}] or [L, ${wanted[i]}], the last size ${sizes[i]}`,
      );
    });
    const time = query.ndim === 2 || !batchFirst ? 0 : 1;
    const other = query.ndim === 3 ? 1 - time : time;
    const agree = key.shape[time] === value.shape[time] &&
      (query.ndim === 2 || [key, value].every((t) => t.shape[other] === query.shape[other]));
    if (agree) return;
    throw new TypeError(
      `Cannot apply MultiheadAttention to query ${text(query)}, key ${text(key)}, value ${
        text(value)
      }: batch sizes and the lengths of key and value must be equal`,
    );
  }

  /** Sizes. */
  override extraRepr(): string {
    return `${this.embedDim}, ${this.numHeads}`;
  }
}
