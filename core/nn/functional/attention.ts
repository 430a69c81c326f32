/** Attention. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { arange, type Tensor, where } from "../../tensor/mod.ts";
import { dropout } from "./dropout.ts";
import { attentionOfDevice } from "./fused_attention.ts";

/** Options of {@linkcode scaledDotProductAttention}. */
export interface AttentionOptions {
  /** Broadcast to `[..., L, S]`: bool (true takes part) or a float that is added to the scores. */
  readonly attnMask?: Tensor;
  /** Whether position `i` sees only positions up to `i`. */
  readonly isCausal?: boolean;
  /** Factor of the scores; `1 / sqrt(E)` by default. */
  readonly scale?: number;
  /** Probability of a weight to be dropped; 0 by default. */
  readonly dropoutP?: number;
  /** Whether key and value have fewer heads than the query, each used for several. */
  readonly enableGqa?: boolean;
}

// Finite, so that a row without any permitted position has no NaN; the weights of the masked positions are exactly 0 all the same.
const masked = (dtype: string): number => dtype === "float16" ? -6e4 : -1e30;

/**
 * `softmax(query @ key.T * scale + mask) @ value` (Vaswani et al., arXiv:1706.03762).
 *
 * On a CUDA device cuDNN computes it without the matrix of scores, forward and backward, for float16 and bfloat16 (so also under autocast), with or without
 * causality and shared heads, when there is no mask and no dropout, the leading dimensions are equal and sizes of heads are multiples of 8; `PTA_CUDNN=off`
 * leaves it out. Everywhere else, and for gradients of gradients, it is products and a softmax.
 *
 * @param query `[..., H, L, E]`
 * @param key `[..., H, S, E]`
 * @param value `[..., H, S, Ev]`
 * @param options Mask, causality, scale, dropout
 * @returns `[..., H, L, Ev]`; zero in rows that a bool mask shuts out entirely
 * @throws {TypeError} When shapes do not match or both a mask and causality are asked for
 */
export function scaledDotProductAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  options: AttentionOptions = {},
): Tensor {
  if (isAutocasting()) {
    return underPolicy("scaledDotProductAttention", scaledDotProductAttention, arguments);
  }
  const { attnMask, isCausal = false, dropoutP = 0, enableGqa = false } = options;
  checkShapes(query, key, value);
  if (attnMask !== undefined && isCausal) {
    throw new TypeError(
      "Cannot attend with both attnMask and isCausal: put the causal part into the mask",
    );
  }
  const scale = options.scale ?? 1 / Math.sqrt(query.shape[query.ndim - 1]);
  const plain = (q: Tensor, k: Tensor, v: Tensor) =>
    composite(q, k, v, scale, { attnMask, isCausal, dropoutP, enableGqa });
  const oneForAll = enableGqa || query.shape.at(-3) === key.shape.at(-3);
  if (attnMask === undefined && dropoutP === 0 && oneForAll) {
    const params = { scale, causal: isCausal };
    const out = attentionOfDevice(query, key, value, params, plain);
    if (out !== undefined) return out;
  }
  return plain(query, key, value);
}

/** Attention by products and a softmax, with the matrix of scores. */
function composite(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  scale: number,
  options: AttentionOptions,
): Tensor {
  const { attnMask, isCausal, dropoutP = 0, enableGqa } = options;
  if (enableGqa) [key, value] = [repeatHeads(key, query), repeatHeads(value, query)];
  let scores = query.matmul(key.transpose(-2, -1)).mul(scale);
  const fill = masked(scores.dtype);
  if (isCausal) {
    const [rows, columns] = scores.shape.slice(-2), { device } = scores;
    const row = arange(rows, undefined, undefined, { dtype: "int32", device }).unsqueeze(-1);
    const column = arange(columns, undefined, undefined, { dtype: "int32", device });
    scores = where(column.le(row), scores, fill);
  } else if (attnMask !== undefined) {
    scores = attnMask.dtype === "bool" ? where(attnMask, scores, fill) : scores.add(attnMask);
  }
  let weights = scores.softmax(-1);
  if (attnMask?.dtype === "bool") weights = where(attnMask, weights, 0);
  return dropout(weights, { p: dropoutP, training: dropoutP > 0 }).matmul(value);
}

function checkShapes(query: Tensor, key: Tensor, value: Tensor): void {
  const fits = query.ndim >= 2 && key.ndim >= 2 && value.ndim >= 2 &&
    query.shape.at(-1) === key.shape.at(-1) && key.shape.at(-2) === value.shape.at(-2);
  if (fits) return;
  const [q, k, v] = [query, key, value].map((t) => `[${t.shape.join(", ")}]`);
  throw new TypeError(
    `Cannot attend with query ${q}, key ${k}, value ${v}: they must be [..., L, E], [..., S, E], [..., S, Ev]`,
  );
}

function repeatHeads(x: Tensor, query: Tensor): Tensor {
  const heads = query.shape.at(-3) ?? 1, own = x.shape.at(-3) ?? 1;
  if (heads % own !== 0) {
    throw new TypeError(
      `Cannot share ${own} key and value heads among ${heads} query heads: not a multiple`,
    );
  }
  if (heads === own) return x;
  const lead = x.shape.slice(0, -3), [length, size] = x.shape.slice(-2);
  return x.unsqueeze(-3).expand([...lead, own, heads / own, length, size])
    .reshape([...lead, heads, length, size]);
}
