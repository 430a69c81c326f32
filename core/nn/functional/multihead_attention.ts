/** Attention with several heads. */
import { cat, type Tensor, zeros } from "../../tensor/mod.ts";
import { scaledDotProductAttention } from "./attention.ts";
import { dropout } from "./dropout.ts";
import { attentionOfDevice } from "./fused_attention.ts";
import { linear } from "./linear.ts";

/** What a call of multi-head attention may be given beside the three sequences. */
export interface AttentionCall {
  /** `[N, S]` or `[S]`: bool, true where a key is ignored, or a float that is added. */
  readonly keyPaddingMask?: Tensor;
  /** Whether the weights are returned too; true by default. Without them nothing of size `L x S` needs to be kept. */
  readonly needWeights?: boolean;
  /** `[L, S]` or `[N * heads, L, S]`: bool, true where attention is not allowed, or a float that is added. */
  readonly attnMask?: Tensor;
  /** Whether returned weights are averaged over the heads; true by default. */
  readonly averageAttnWeights?: boolean;
  /** Says that attnMask, which must be given, is the causal one; a device with attention of its own then need not read it. */
  readonly isCausal?: boolean;
}

/** Weights and masks of {@linkcode multiHeadAttentionForward}. */
export interface MultiHeadAttentionForwardOptions extends AttentionCall {
  /** `[3 E, E]`: projections of queries, keys and values, unless they are separate. */
  readonly inProjWeight?: Tensor;
  /** `[3 E]`. */
  readonly inProjBias?: Tensor;
  /** `[1, 1, E]` or `[E]`: a key that is appended to every sequence. */
  readonly biasK?: Tensor;
  /** `[1, 1, E]` or `[E]`: its value. */
  readonly biasV?: Tensor;
  /** Whether a zero key and value are appended; false by default. */
  readonly addZeroAttn?: boolean;
  /** Probability of an attention weight to be dropped in training; 0 by default. */
  readonly dropoutP?: number;
  /** `[E, E]`: projection of the joined heads. */
  readonly outProjWeight: Tensor;
  /** `[E]`. */
  readonly outProjBias?: Tensor;
  /** Whether weights are dropped; true by default. */
  readonly training?: boolean;
  /** Whether qProjWeight, kProjWeight and vProjWeight stand for inProjWeight; false by default. */
  readonly useSeparateProjWeight?: boolean;
  /** `[E, E]`. */
  readonly qProjWeight?: Tensor;
  /** `[E, kdim]`. */
  readonly kProjWeight?: Tensor;
  /** `[E, vdim]`. */
  readonly vProjWeight?: Tensor;
  /** `[N * heads, S, E / heads]`: keys in place of the projected ones. */
  readonly staticK?: Tensor;
  /** `[N * heads, S, E / heads]`: values in place of the projected ones. */
  readonly staticV?: Tensor;
}

/** Who attends, for errors, and in which layout. */
export interface AttentionCaller {
  readonly name: string;
  readonly batchFirst: boolean;
}

const text = (t: Tensor): string => `[${t.shape.join(", ")}]`;

/**
 * Checks the three sequences.
 * @throws {TypeError} When ranks, features, batch sizes or lengths do not fit
 */
function checkSequences(
  { name, batchFirst }: AttentionCaller,
  sequences: readonly Tensor[],
  features: readonly number[],
): void {
  const [query, key, value] = sequences;
  const names = ["query", "key", "value"], sizes = ["embedDim", "kdim", "vdim"];
  sequences.forEach((t, i) => {
    if (t.ndim === query.ndim && (t.ndim === 2 || t.ndim === 3) && t.shape.at(-1) === features[i]) {
      return;
    }
    throw new TypeError(
      `Cannot apply ${name} to ${names[i]} ${text(t)}: it must be ${
        batchFirst ? "[N, L" : "[L, N"
      }, ${features[i]}] or [L, ${features[i]}], the last size ${sizes[i]}`,
    );
  });
  const time = query.ndim === 2 || !batchFirst ? 0 : 1;
  const agree = key.shape[time] === value.shape[time] &&
    (query.ndim === 2 ||
      [key, value].every((t) => t.shape[1 - time] === query.shape[1 - time]));
  if (agree) return;
  throw new TypeError(
    `Cannot apply ${name} to query ${text(query)}, key ${text(key)}, value ${
      text(value)
    }: batch sizes and the lengths of key and value must be equal`,
  );
}

/** The three projections: as they lie in one weight, or apart. */
function projections(name: string, o: MultiHeadAttentionForwardOptions): readonly Tensor[] {
  if (!o.useSeparateProjWeight) {
    if (o.inProjWeight !== undefined) return o.inProjWeight.chunk(3);
    throw new TypeError(`Cannot apply ${name}: inProjWeight is missing`);
  }
  return (["qProjWeight", "kProjWeight", "vProjWeight"] as const).map((which) => {
    const weight = o[which];
    if (weight !== undefined) return weight;
    throw new TypeError(`Cannot apply ${name} with separate projections: ${which} is missing`);
  });
}

/** Queries, keys and values `[N, L, E]` after their projections. */
function project(
  sequences: readonly Tensor[],
  weights: readonly Tensor[],
  o: MultiHeadAttentionForwardOptions,
): Tensor[] {
  const [query, key, value] = sequences;
  if (!o.useSeparateProjWeight && query === key && key === value) {
    // Self-attention: one product instead of three.
    return linear(query, o.inProjWeight!, o.inProjBias).chunk(3, -1);
  }
  const biases = o.inProjBias?.chunk(3);
  return sequences.map((x, i) => linear(x, weights[i], biases?.[i]));
}

/** Both masks as one that is added to the scores, broadcast to `[N, heads, L, S]`, open for the appended keys. */
function joinMasks(
  name: string,
  { attnMask, keyPaddingMask }: AttentionCall,
  sizes: { single: boolean; extra: number },
  q: Tensor,
  k: Tensor,
): Tensor | undefined {
  const { single, extra } = sizes, [batch, heads, length] = q.shape, keys = k.shape[2] - extra;
  const additive = (m: Tensor) =>
    m.dtype === "bool"
      ? zeros(m.shape, { dtype: q.dtype, device: q.device }).maskedFill(m, -Infinity)
      : m.to(q.dtype);
  const open = (m: Tensor) => extra === 0 ? m : m.pad([0, extra]);
  let mask: Tensor | undefined;
  if (attnMask !== undefined) {
    const wanted = attnMask.ndim === 3 ? [batch * heads, length, keys] : [length, keys];
    if (`${attnMask.shape}` !== `${wanted}`) {
      throw new TypeError(
        `Cannot apply ${name} with attnMask ${
          text(attnMask)
        }: it must be [${length}, ${keys}] or [${batch * heads}, ${length}, ${keys}]`,
      );
    }
    const m = open(additive(attnMask));
    mask = m.ndim === 2 ? m : m.reshape(batch, heads, m.shape[1], m.shape[2]);
  }
  if (keyPaddingMask !== undefined) {
    const wanted = single ? [keys] : [batch, keys];
    if (`${keyPaddingMask.shape}` !== `${wanted}`) {
      throw new TypeError(
        `Cannot apply ${name} with keyPaddingMask ${text(keyPaddingMask)}: it must be [${
          wanted.join(", ")
        }]`,
      );
    }
    const m = open(additive(keyPaddingMask)).reshape(batch, 1, 1, -1);
    mask = mask === undefined ? m : mask.add(m);
  }
  return mask;
}

/** Keys or values `[N, heads, S, E / heads]` that a caller holds ready. */
function ready(name: string, which: string, given: Tensor, heads: readonly number[]): Tensor {
  const [batch, count, size] = heads;
  if (given.ndim === 3 && given.shape[0] === batch * count && given.shape[2] === size) {
    return given.reshape(batch, count, given.shape[1], size);
  }
  throw new TypeError(
    `Cannot apply ${name} with ${which} ${text(given)}: it must be [${batch * count}, S, ${size}]`,
  );
}

/**
 * The body of {@linkcode multiHeadAttentionForward} and of the module, for either layout.
 * @throws {TypeError} When shapes do not fit or a weight is missing
 */
export function attendHeads(
  caller: AttentionCaller,
  sequences: readonly Tensor[],
  numHeads: number,
  o: MultiHeadAttentionForwardOptions,
): [Tensor, Tensor | undefined] {
  const { name, batchFirst } = caller, { needWeights = true, averageAttnWeights = true } = o;
  const weights = projections(name, o), embedDim = o.outProjWeight.shape[0];
  checkSequences(caller, sequences, weights.map((w) => w.shape[w.ndim - 1]));
  if ((o.biasK === undefined) !== (o.biasV === undefined)) {
    throw new TypeError(`Cannot apply ${name}: biasK and biasV must be given together`);
  }
  if (o.isCausal && o.attnMask === undefined) {
    throw new TypeError(
      `Cannot apply ${name} with isCausal alone: give the causal mask as attnMask too`,
    );
  }
  const single = sequences[0].ndim === 2, size = embedDim / numHeads;
  // What is one tensor stays one.
  const seen = new Map<Tensor, Tensor>();
  for (const x of sequences) {
    seen.set(x, single ? x.unsqueeze(0) : batchFirst ? x : x.transpose(0, 1));
  }
  let [q, k, v] = project(sequences.map((x) => seen.get(x)!), weights, o);
  const [batch, length] = q.shape;
  const append = (x: Tensor, row: Tensor) => cat([x, row.expand(batch, 1, embedDim)], 1);
  if (o.biasK !== undefined) [k, v] = [append(k, o.biasK), append(v, o.biasV!)];
  const split = (x: Tensor) => x.reshape(batch, x.shape[1], numHeads, size).transpose(1, 2);
  const held = [batch, numHeads, size];
  q = split(q);
  k = o.staticK === undefined ? split(k) : ready(name, "staticK", o.staticK, held);
  v = o.staticV === undefined ? split(v) : ready(name, "staticV", o.staticV, held);
  if (o.addZeroAttn) {
    const zero = zeros([batch, numHeads, 1, size], { dtype: k.dtype, device: k.device });
    [k, v] = [cat([k, zero], 2), cat([v, zero], 2)];
  }
  const extra = Number(o.biasK !== undefined) + Number(o.addZeroAttn === true);
  const mask = joinMasks(name, o, { single, extra }, q, k);
  const dropoutP = o.training ?? true ? o.dropoutP ?? 0 : 0;
  let joined: Tensor, shown: Tensor | undefined;
  if (needWeights) {
    let scores = q.mul(1 / Math.sqrt(size)).matmul(k.transpose(-2, -1));
    if (mask !== undefined) scores = scores.add(mask);
    shown = dropout(scores.softmax(-1), { p: dropoutP, training: dropoutP > 0 });
    joined = shown.matmul(v);
    if (averageAttnWeights) shown = shown.mean(1);
    if (single) shown = shown.squeeze(0);
  } else {
    const plain = (q: Tensor, k: Tensor, v: Tensor) =>
      scaledDotProductAttention(q, k, v, { attnMask: mask, dropoutP });
    // A device that masks by itself needs no mask.
    const causal = o.isCausal === true && o.attnMask?.ndim === 2 && length === k.shape[2] &&
      o.keyPaddingMask === undefined && extra === 0 && dropoutP === 0;
    const params = { causal, scale: 1 / Math.sqrt(size) };
    joined = (causal ? attentionOfDevice(q, k, v, params, plain) : undefined) ?? plain(q, k, v);
  }
  const y = linear(
    joined.transpose(1, 2).reshape(batch, length, embedDim),
    o.outProjWeight,
    o.outProjBias,
  );
  return [single ? y.squeeze(0) : batchFirst ? y : y.transpose(0, 1), shown];
}

/**
 * Attention over projections in several heads, joined and projected again (Vaswani et al., arXiv:1706.03762).
 *
 * @param query `[L, N, E]` or `[L, E]`
 * @param key `[S, N, kdim]` likewise
 * @param value `[S, N, vdim]` likewise
 * @param embedDimToCheck E
 * @param numHeads Number of heads; divides E
 * @param options Weights, masks and what to return
 * @returns The output `[L, N, E]`, and weights `[N, L, S]` (per head `[N, heads, L, S]`), undefined when not needed
 * @throws {TypeError} When shapes do not fit or a weight is missing
 * @throws {RangeError} When the heads do not divide E
 */
export function multiHeadAttentionForward(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  embedDimToCheck: number,
  numHeads: number,
  options: MultiHeadAttentionForwardOptions,
): [Tensor, Tensor | undefined] {
  const name = "multiHeadAttentionForward";
  if (query.shape.at(-1) !== embedDimToCheck) {
    throw new TypeError(
      `Cannot apply ${name} to query ${text(query)}: its last size must be ${embedDimToCheck}`,
    );
  }
  if (!Number.isInteger(numHeads) || numHeads < 1 || embedDimToCheck % numHeads !== 0) {
    throw new RangeError(
      `Cannot apply ${name} with numHeads ${numHeads}: it must divide embedDim ${embedDimToCheck}`,
    );
  }
  return attendHeads({ name, batchFirst: false }, [query, key, value], numHeads, options);
}
