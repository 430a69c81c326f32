/** Attention and its gradients by plain loops, a row of scores at a time. */
import type { AttentionParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** Where the elements of one position of one head begin. */
const placeOf = (
  { strides, offset }: PlainOperand,
  batch: number,
  position: number,
  head: number,
) => offset + batch * strides[0] + position * strides[1] + head * strides[2];

function dot(a: PlainOperand, from: number, b: PlainOperand, at: number): number {
  let sum = 0;
  for (let e = 0; e < a.shape[3]; e++) sum += a.data[from + e] * b.data[at + e];
  return sum;
}

/** Calls `visit` for each row of scores with its batch, head, position, the head of its keys, and how many of them it sees. */
function eachRow(
  { causal }: AttentionParams,
  [{ shape: [batches, queries, heads] }, { shape: [, keys, keyHeads] }]: readonly PlainOperand[],
  visit: (batch: number, head: number, position: number, keyHead: number, seen: number) => void,
): void {
  for (let b = 0; b < batches; b++) {
    for (let h = 0; h < heads; h++) {
      const keyHead = Math.floor(h * keyHeads / heads);
      for (let i = 0; i < queries; i++) {
        visit(b, h, i, keyHead, causal ? Math.min(keys, i + 1) : keys);
      }
    }
  }
}

/** `[query, key, value, out, stats]`: see `RoutineParams.attention`. */
export function attention(params: AttentionParams, operands: readonly PlainOperand[]): void {
  const [query, key, value, out, stats] = operands, { shape: [, queries, heads] } = query;
  eachRow(params, operands, (b, h, i, keyHead, seen) => {
    const row = placeOf(query, b, i, h), scores: number[] = [];
    let most = -Infinity, sum = 0;
    for (let j = 0; j < seen; j++) {
      const s = dot(query, row, key, placeOf(key, b, j, keyHead)) * params.scale;
      most = Math.max(most, s);
      scores.push(s);
    }
    for (const s of scores) sum += Math.exp(s - most);
    const lse = stats.data[(b * heads + h) * queries + i] = most + Math.log(sum);
    const to = placeOf(out, b, i, h);
    for (let e = 0; e < out.shape[3]; e++) {
      let total = 0;
      for (let j = 0; j < seen; j++) {
        total += Math.exp(scores[j] - lse) * value.data[placeOf(value, b, j, keyHead) + e];
      }
      out.data[to + e] = total;
    }
  });
}

/**
 * `[query, key, value, out, stats, gradient, queryGradient, keyGradient, valueGradient]`: see `RoutineParams.attentionGradient`. Scores are computed
 * again; with the weights `P` and the gradient `dP` of them, that of the scores is `P * (dP - sum(out * gradient))` (Dao et al., arXiv:2205.14135).
 */
export function attentionGradient(
  params: AttentionParams,
  operands: readonly PlainOperand[],
): void {
  const [query, key, value, out, stats, gradient, dQuery, dKey, dValue] = operands;
  const { shape: [, queries, heads, size] } = query, wide = value.shape[3];
  // Sums over rows and shared heads are held in float64 until the end.
  const sums = [dQuery, dKey, dValue].map((x) => new Float64Array(x.data.length));
  const [dq, dk, dv] = sums;
  eachRow(params, operands, (b, h, i, keyHead, seen) => {
    const row = placeOf(query, b, i, h), to = placeOf(dQuery, b, i, h);
    const from = placeOf(gradient, b, i, h);
    const lse = stats.data[(b * heads + h) * queries + i];
    const mean = dot(gradient, from, out, placeOf(out, b, i, h));
    for (let j = 0; j < seen; j++) {
      const other = placeOf(key, b, j, keyHead), seenValue = placeOf(value, b, j, keyHead);
      const weight = Math.exp(dot(query, row, key, other) * params.scale - lse);
      const slope = weight * (dot(gradient, from, value, seenValue) - mean) * params.scale;
      const atKey = placeOf(dKey, b, j, keyHead), atValue = placeOf(dValue, b, j, keyHead);
      for (let e = 0; e < wide; e++) dv[atValue + e] += weight * gradient.data[from + e];
      for (let e = 0; e < size; e++) {
        dq[to + e] += slope * key.data[other + e];
        dk[atKey + e] += slope * query.data[row + e];
      }
    }
  });
  [dQuery, dKey, dValue].forEach((x, s) => {
    for (let i = 0; i < x.data.length; i++) x.data[i] = sums[s][i];
  });
}
