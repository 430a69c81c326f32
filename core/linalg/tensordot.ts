/** Sums of products over chosen dimensions. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import { normalizeDim, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** How many last and first dimensions to sum over, or which of the first and of the second tensor. */
export type ContractedDims = number | readonly [readonly number[], readonly number[]];

/**
 * Sums of products over pairs of dimensions: what remains of `a`, then what remains of `b`. A size of 1 beside a larger one broadcasts.
 *
 * @param dims A count n pairs the last n of `a` with the first n of `b`
 * @throws {TypeError} When paired sizes differ, or the lists are not equally long
 */
export function tensordot(a: Tensor, b: Tensor, dims: ContractedDims = 2): Tensor {
  if (isAutocasting()) return underPolicy("tensordot", tensordot, arguments);
  const lists = typeof dims === "number"
    ? [0, 1].map((which) =>
      Array.from({ length: dims }, (_, i) => which === 0 ? a.ndim - dims + i : i)
    )
    : dims;
  const da = lists[0].map((d) => normalizeDim(d, a.ndim, "contract"));
  const db = lists[1].map((d) => normalizeDim(d, b.ndim, "contract"));
  const fail = (why: string) => {
    throw new TypeError(
      `Cannot contract ${shapeText(a.shape)} over ${shapeText(lists[0])} with ${
        shapeText(b.shape)
      } over ${shapeText(lists[1])}: ${why}`,
    );
  };
  if (da.length !== db.length) fail("equally many dimensions are needed");
  if (new Set(da).size !== da.length || new Set(db).size !== db.length) {
    fail("a dim is named twice");
  }
  let left = a, right = b;
  da.forEach((d, i) => {
    const [s, t] = [left.shape[d], right.shape[db[i]]];
    if (s === t) return;
    if (t === 1) left = left.sum(d, true);
    else if (s === 1) right = right.sum(db[i], true);
    else fail(`sizes are ${s} and ${t}`);
  });
  const rest = (t: Tensor, taken: readonly number[]) =>
    t.shape.map((_, d) => d).filter((d) => !taken.includes(d));
  const ra = rest(left, da), rb = rest(right, db);
  const size = (t: Tensor, list: readonly number[]) => list.reduce((n, d) => n * t.shape[d], 1);
  const inner = size(left, da);
  const rows = left.permute([...ra, ...da]).reshape(size(left, ra), inner);
  const columns = right.permute([...db, ...rb]).reshape(inner, size(right, rb));
  return rows.matmul(columns).reshape([
    ...ra.map((d) => left.shape[d]),
    ...rb.map((d) => right.shape[d]),
  ]);
}
