/** The layers of a transformer (Vaswani et al., arXiv:1706.03762). */
import type { DType } from "../dtype.ts";
import type { Tensor } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { Dropout } from "./dropout.ts";
import { LayerNorm } from "./layer_norm.ts";
import { Linear } from "./linear.ts";
import { Module } from "./module.ts";
import { MultiheadAttention } from "./multihead_attention.ts";

/** Options of the layers. */
export interface TransformerLayerOptions {
  /** Features between the two linear layers; 2048 by default. */
  readonly dimFeedforward?: number;
  /** Probability of dropping; 0.1 by default. */
  readonly dropout?: number;
  /** `relu` (the default), `gelu`, or a function. */
  readonly activation?: "relu" | "gelu" | ((x: Tensor) => Tensor);
  /** eps of the normalisations; 1e-5 by default. */
  readonly layerNormEps?: number;
  /** Whether tensors are `[N, L, E]` and not `[L, N, E]`; false by default. */
  readonly batchFirst?: boolean;
  /** Whether normalisation comes before attention and feed-forward and not after; false by default. */
  readonly normFirst?: boolean;
  /** Whether linear layers and normalisations have biases; true by default. */
  readonly bias?: boolean;
  /** dtype of the parameters; float32 by default. */
  readonly dtype?: DType;
}

/** Masks of an encoder layer. */
export interface EncoderCall {
  /** `[L, L]` or `[N * heads, L, L]`: bool, true where attention is not allowed, or a float that is added. */
  readonly srcMask?: Tensor;
  /** `[N, L]`: true where a position is padding. */
  readonly srcKeyPaddingMask?: Tensor;
  /** Says that srcMask, which must be given, is the causal one. */
  readonly isCausal?: boolean;
}

/** Masks of a decoder layer. */
export interface DecoderCall {
  /** `[L, L]`: as in {@linkcode EncoderCall}, for the target. */
  readonly tgtMask?: Tensor;
  /** `[L, S]`: for the memory. */
  readonly memoryMask?: Tensor;
  /** `[N, L]`: padding of the target. */
  readonly tgtKeyPaddingMask?: Tensor;
  /** `[N, S]`: padding of the memory. */
  readonly memoryKeyPaddingMask?: Tensor;
  /** Says that tgtMask, which must be given, is the causal one. */
  readonly tgtIsCausal?: boolean;
  /** Says that memoryMask, which must be given, is the causal one. */
  readonly memoryIsCausal?: boolean;
}

const activations = {
  relu: (x: Tensor): Tensor => x.relu(),
  gelu: (x: Tensor): Tensor => x.gelu(),
} as const;

/** What both kinds of layer have: attention over themselves, feed-forward, two normalisations. */
export abstract class TransformerLayer extends Module {
  /** Attention of the sequence over itself. */
  readonly self_attn: MultiheadAttention;
  /** E to dimFeedforward. */
  readonly linear1: Linear;
  /** After the activation. */
  readonly dropout: Dropout;
  /** dimFeedforward to E. */
  readonly linear2: Linear;
  /** Whether normalisation comes first. */
  readonly normFirst: boolean;
  /** Between the linear layers. */
  readonly activation: (x: Tensor) => Tensor;
  /** What the layer was made with. */
  protected readonly made: Required<TransformerLayerOptions>;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1, the heads do not divide dModel or the activation is unknown
   */
  constructor(readonly dModel: number, readonly nhead: number, options: TransformerLayerOptions) {
    super();
    const o: Required<TransformerLayerOptions> = {
      dimFeedforward: 2048,
      dropout: 0.1,
      activation: "relu",
      layerNormEps: 1e-5,
      batchFirst: false,
      normFirst: false,
      bias: true,
      dtype: "float32",
      ...options,
    };
    this.made = o;
    const { name } = this.constructor, { bias, dtype } = o;
    checkSize(name, { dModel, nhead, dimFeedforward: o.dimFeedforward });
    if (typeof o.activation === "string" && !(o.activation in activations)) {
      throw new RangeError(
        `Cannot make ${name} with activation ${o.activation}: it must be "relu", "gelu" or a function`,
      );
    }
    this.self_attn = this.attention();
    this.linear1 = new Linear(dModel, o.dimFeedforward, { bias, dtype });
    this.dropout = new Dropout(o.dropout);
    this.linear2 = new Linear(o.dimFeedforward, dModel, { bias, dtype });
    this.normFirst = o.normFirst;
    this.activation = typeof o.activation === "string" ? activations[o.activation] : o.activation;
  }

  /** A fresh attention of this layer's kind. */
  protected attention(): MultiheadAttention {
    const { dropout, bias, batchFirst, dtype } = this.made;
    return new MultiheadAttention(this.dModel, this.nhead, { dropout, bias, batchFirst, dtype });
  }

  /** A fresh normalisation of this layer's kind. */
  protected norm(): LayerNorm {
    const { layerNormEps: eps, bias, dtype } = this.made;
    return new LayerNorm(this.dModel, { eps, bias, dtype });
  }

  /** A fresh layer with the same options. */
  abstract copy(): this;

  /**
   * Checks an input.
   * @throws {TypeError} When the last size is not dModel
   */
  protected checkInput(what: string, x: Tensor): void {
    if (x.ndim > 0 && x.shape.at(-1) === this.dModel) return;
    throw new TypeError(
      `Cannot apply ${this.constructor.name} to ${what} [${
        x.shape.join(", ")
      }]: the last size must be dModel ${this.dModel}`,
    );
  }

  /** Feed-forward without the last dropout. */
  protected feedForward(x: Tensor): Tensor {
    return this.linear2.forward(this.dropout.forward(this.activation(this.linear1.forward(x))));
  }

  /** `x` plus a branch of it, normalised before or after. */
  protected residual(x: Tensor, norm: LayerNorm, branch: (x: Tensor) => Tensor): Tensor {
    return this.normFirst ? x.add(branch(norm.forward(x))) : norm.forward(x.add(branch(x)));
  }
}

/** Self-attention and feed-forward. */
export class TransformerEncoderLayer extends TransformerLayer {
  /** Of attention. */
  readonly norm1: LayerNorm;
  /** Of feed-forward. */
  readonly norm2: LayerNorm;
  /** After attention. */
  readonly dropout1: Dropout;
  /** After feed-forward. */
  readonly dropout2: Dropout;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1, the heads do not divide dModel or the activation is unknown
   */
  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super(dModel, nhead, options);
    this.norm1 = this.norm();
    this.norm2 = this.norm();
    this.dropout1 = new Dropout(this.dropout.p);
    this.dropout2 = new Dropout(this.dropout.p);
  }

  /** A fresh layer with the same options. */
  override copy(): this {
    return new TransformerEncoderLayer(this.dModel, this.nhead, this.made) as this;
  }

  /**
   * The encoded sequence, in its shape.
   * @param src `[L, N, E]`, `[N, L, E]` when batchFirst, or `[L, E]`
   * @param options Masks
   * @throws {TypeError} When shapes do not fit
   */
  override forward(src: Tensor, options: EncoderCall = {}): Tensor {
    this.checkInput("src", src);
    const { srcMask: attnMask, srcKeyPaddingMask: keyPaddingMask, isCausal } = options;
    const attend = (x: Tensor) => {
      const call = { attnMask, keyPaddingMask, isCausal, needWeights: false };
      return this.dropout1.forward(this.self_attn.forward(x, x, x, call)[0]);
    };
    const x = this.residual(src, this.norm1, attend);
    return this.residual(x, this.norm2, (y) => this.dropout2.forward(this.feedForward(y)));
  }
}

/** Self-attention, attention over the memory, feed-forward. */
export class TransformerDecoderLayer extends TransformerLayer {
  /** Attention over the memory. */
  readonly multihead_attn: MultiheadAttention;
  /** Of self-attention. */
  readonly norm1: LayerNorm;
  /** Of attention over the memory. */
  readonly norm2: LayerNorm;
  /** Of feed-forward. */
  readonly norm3: LayerNorm;
  /** After self-attention. */
  readonly dropout1: Dropout;
  /** After attention over the memory. */
  readonly dropout2: Dropout;
  /** After feed-forward. */
  readonly dropout3: Dropout;

  /**
   * Makes the layer.
   * @throws {RangeError} When a size is not a whole number of at least 1, the heads do not divide dModel or the activation is unknown
   */
  constructor(dModel: number, nhead: number, options: TransformerLayerOptions = {}) {
    super(dModel, nhead, options);
    this.multihead_attn = this.attention();
    [this.norm1, this.norm2, this.norm3] = [this.norm(), this.norm(), this.norm()];
    const { p } = this.dropout;
    [this.dropout1, this.dropout2, this.dropout3] = [
      new Dropout(p),
      new Dropout(p),
      new Dropout(p),
    ];
  }

  /** A fresh layer with the same options. */
  override copy(): this {
    return new TransformerDecoderLayer(this.dModel, this.nhead, this.made) as this;
  }

  /**
   * The decoded sequence, in the shape of the target.
   * @param tgt `[L, N, E]`, `[N, L, E]` when batchFirst, or `[L, E]`
   * @param memory Output of the encoder, `[S, N, E]` likewise
   * @param options Masks
   * @throws {TypeError} When shapes do not fit
   */
  override forward(tgt: Tensor, memory: Tensor, options: DecoderCall = {}): Tensor {
    this.checkInput("tgt", tgt);
    this.checkInput("memory", memory);
    const self = (x: Tensor) =>
      this.dropout1.forward(
        this.self_attn.forward(x, x, x, {
          attnMask: options.tgtMask,
          keyPaddingMask: options.tgtKeyPaddingMask,
          isCausal: options.tgtIsCausal,
          needWeights: false,
        })[0],
      );
    const cross = (x: Tensor) =>
      this.dropout2.forward(
        this.multihead_attn.forward(x, memory, memory, {
          attnMask: options.memoryMask,
          keyPaddingMask: options.memoryKeyPaddingMask,
          isCausal: options.memoryIsCausal,
          needWeights: false,
        })[0],
      );
    let x = this.residual(tgt, this.norm1, self);
    x = this.residual(x, this.norm2, cross);
    return this.residual(x, this.norm3, (y) => this.dropout3.forward(this.feedForward(y)));
  }
}
