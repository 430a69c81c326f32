/** Stacks of transformer layers. */
import { full, type Tensor } from "../tensor/mod.ts";
import { checkSize } from "./check.ts";
import { ModuleList } from "./containers.ts";
import { xavierUniform_ } from "./init.ts";
import { LayerNorm } from "./layer_norm.ts";
import { Module } from "./module.ts";
import {
  type DecoderCall,
  type EncoderCall,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type TransformerLayer,
  type TransformerLayerOptions,
} from "./transformer_layers.ts";

/** Options of the stacks. */
export interface StackOptions {
  /** Applied at the end. */
  readonly norm?: Module;
}

/** Fresh layers like the given one, with its weights. */
function copies<L extends TransformerLayer>(layer: L, count: number, name: string): ModuleList<L> {
  checkSize(name, { numLayers: count });
  return new ModuleList(Array.from({ length: count }, () => {
    const made = layer.copy();
    made.loadStateDict(layer.stateDict());
    return made;
  }));
}

/** Encoder layers one after the other. */
export class TransformerEncoder extends Module {
  /** The layers. */
  readonly layers: ModuleList<TransformerEncoderLayer>;
  /** Applied at the end. */
  readonly norm: Module | undefined;

  /**
   * Makes copies of a layer.
   * @throws {RangeError} When numLayers is not a whole number of at least 1
   */
  constructor(
    encoderLayer: TransformerEncoderLayer,
    readonly numLayers: number,
    options: StackOptions = {},
  ) {
    super();
    this.layers = copies(encoderLayer, numLayers, "TransformerEncoder");
    this.norm = options.norm;
  }

  /**
   * The encoded sequence, in its shape.
   * @param src `[L, N, E]`, `[N, L, E]` when batchFirst, or `[L, E]`
   * @param options Masks; `mask` is the same as srcMask
   * @throws {TypeError} When shapes do not fit
   */
  override forward(src: Tensor, options: EncoderCall & { readonly mask?: Tensor } = {}): Tensor {
    const call = { ...options, srcMask: options.srcMask ?? options.mask };
    let x = src;
    for (const layer of this.layers) x = layer.forward(x, call);
    return this.norm === undefined ? x : this.norm.forward(x);
  }
}

/** Decoder layers one after the other. */
export class TransformerDecoder extends Module {
  /** The layers. */
  readonly layers: ModuleList<TransformerDecoderLayer>;
  /** Applied at the end. */
  readonly norm: Module | undefined;

  /**
   * Makes copies of a layer.
   * @throws {RangeError} When numLayers is not a whole number of at least 1
   */
  constructor(
    decoderLayer: TransformerDecoderLayer,
    readonly numLayers: number,
    options: StackOptions = {},
  ) {
    super();
    this.layers = copies(decoderLayer, numLayers, "TransformerDecoder");
    this.norm = options.norm;
  }

  /**
   * The decoded sequence, in the shape of the target.
   * @param tgt `[L, N, E]`, `[N, L, E]` when batchFirst, or `[L, E]`
   * @param memory Output of the encoder
   * @param options Masks
   * @throws {TypeError} When shapes do not fit
   */
  override forward(tgt: Tensor, memory: Tensor, options: DecoderCall = {}): Tensor {
    let x = tgt;
    for (const layer of this.layers) x = layer.forward(x, memory, options);
    return this.norm === undefined ? x : this.norm.forward(x);
  }
}

/** Options of {@linkcode Transformer}. */
export interface TransformerOptions extends TransformerLayerOptions {
  /** Features; 512 by default. */
  readonly dModel?: number;
  /** Heads; 8 by default. */
  readonly nhead?: number;
  /** 6 by default. */
  readonly numEncoderLayers?: number;
  /** 6 by default. */
  readonly numDecoderLayers?: number;
}

/** Encoder and decoder (Vaswani et al., arXiv:1706.03762). */
export class Transformer extends Module {
  /** Reads the source. */
  readonly encoder: TransformerEncoder;
  /** Writes the target. */
  readonly decoder: TransformerDecoder;

  /**
   * Makes both stacks; matrices Xavier uniform.
   * @throws {RangeError} When a size is not a whole number of at least 1 or the heads do not divide dModel
   */
  constructor(options: TransformerOptions = {}) {
    super();
    const { dModel = 512, nhead = 8, numEncoderLayers = 6, numDecoderLayers = 6, ...layer } =
      options;
    const norm = () =>
      new LayerNorm(dModel, { eps: layer.layerNormEps, bias: layer.bias, dtype: layer.dtype });
    checkSize("Transformer", { numEncoderLayers, numDecoderLayers });
    const encoderLayer = new TransformerEncoderLayer(dModel, nhead, layer);
    this.encoder = new TransformerEncoder(encoderLayer, numEncoderLayers, { norm: norm() });
    const decoderLayer = new TransformerDecoderLayer(dModel, nhead, layer);
    this.decoder = new TransformerDecoder(decoderLayer, numDecoderLayers, { norm: norm() });
    for (const p of this.parameters()) if (p.ndim > 1) xavierUniform_(p);
  }

  /**
   * The decoded target.
   * @param src `[S, N, E]`, `[N, S, E]` when batchFirst, or `[S, E]`
   * @param tgt `[L, N, E]` likewise
   * @param options Masks of source, target and memory
   * @throws {TypeError} When shapes do not fit
   */
  override forward(src: Tensor, tgt: Tensor, options: EncoderCall & DecoderCall = {}): Tensor {
    return this.decoder.forward(tgt, this.encoder.forward(src, options), options);
  }

  /** `[size, size]`: 0 where a position may look, minus infinity ahead of it. */
  static generateSquareSubsequentMask(size: number): Tensor {
    return full([size, size], -Infinity).triu(1);
  }
}
