/** Chains of matrix products, powers of a vector. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import { shapeText } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { wrap } from "../tensor/base.ts";
import { assembleNode } from "../tensor/movement.ts";
import { constant } from "./support.ts";

/**
 * Product of matrices in the order that takes the fewest multiplications (Cormen, Leiserson and Rivest, "Introduction to Algorithms", 1990, 16.1).
 *
 * @param matrices At least two; the first and the last may be vectors, which are a row and a column
 * @throws {TypeError} When there are fewer, or sizes do not fit
 */
export function multiDot(matrices: readonly Tensor[]): Tensor {
  if (isAutocasting()) return underPolicy("multiDot", multiDot, arguments);
  const count = matrices.length;
  if (count < 2) throw new TypeError(`Cannot multiply ${count} matrices: at least 2 are needed`);
  const row = matrices[0].ndim === 1, column = matrices[count - 1].ndim === 1;
  const list = matrices.map((x, i) =>
    i === 0 && row ? x.unsqueeze(0) : i === count - 1 && column ? x.unsqueeze(1) : x
  );
  list.forEach((x, i) => {
    if (x.ndim !== 2 || (i > 0 && list[i - 1].shape[1] !== x.shape[0])) {
      throw new TypeError(
        `Cannot multiply a chain with ${shapeText(matrices[i].shape)} at place ${i}: 2-D with ${
          i > 0 ? list[i - 1].shape[1] : "any number of"
        } rows is needed`,
      );
    }
  });
  const sizes = [list[0].shape[0], ...list.map((x) => x.shape[1])];
  const cost = list.map(() => new Array<number>(count).fill(0));
  const cut = list.map(() => new Array<number>(count).fill(0));
  for (let span = 1; span < count; span++) {
    for (let i = 0; i + span < count; i++) {
      const j = i + span;
      cost[i][j] = Infinity;
      for (let k = i; k < j; k++) {
        const c = cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1];
        if (c < cost[i][j]) [cost[i][j], cut[i][j]] = [c, k];
      }
    }
  }
  const product = (i: number, j: number): Tensor =>
    i === j ? list[i] : product(i, cut[i][j]).matmul(product(cut[i][j] + 1, j));
  let out = product(0, count - 1);
  if (row) out = out.squeeze(0);
  return column ? out.squeeze(-1) : out;
}

/**
 * Matrices of the powers `0 .. n - 1` of each element, as rows.
 *
 * @param x `[..., k]`
 * @param n Number of powers, k by default
 * @returns `[..., k, n]`
 */
export function vander(x: Tensor, n?: number): Tensor {
  const base = (x.ndim === 0 ? x.reshape(1) : x).unsqueeze(-1),
    count = n ?? base.shape[base.ndim - 2];
  if (!Number.isInteger(count) || count < 1) {
    if (n === undefined && count === 0) return constant(0, [...x.shape, 0], x);
    throw new RangeError(`Cannot take ${count} powers: at least 1 is needed`);
  }
  const powers = [constant(1, base.shape, x)];
  for (let i = 1; i < count; i++) powers.push(i === 1 ? base : powers[i - 1].mul(base));
  const zero = base.shape.map(() => 0);
  const starts = powers.map((_, i) => [...zero.slice(0, -1), i]);
  const shape = [...base.shape.slice(0, -1), count];
  return wrap(assembleNode(powers.map((p) => p.node), starts, shape));
}
