/** Table lookup and its opposite. */
import { codecs, isFloat } from "../../dtype.ts";
import { explainLookup } from "../../origin.ts";
import { noGrad, ones, type Tensor, where, zeros } from "../../tensor/mod.ts";
import { pNorm } from "../../tensor/p_norm.ts";

/** Options that {@linkcode embedding} and `embeddingBag` share. */
export interface LookupOptions {
  /** Row that gets no gradient; negative counts from the end. */
  readonly paddingIdx?: number;
  /** Rows that are looked up and longer than this are shortened to it first, in the table itself. */
  readonly maxNorm?: number;
  /** Exponent of the norm for `maxNorm`; 2 by default. */
  readonly normType?: number;
  /** Whether the gradient of a row is divided by how often it was looked up; false by default. */
  readonly scaleGradByFreq?: boolean;
}

/**
 * Rows of `weight` at the positions in `index`.
 *
 * @param index int32 or int64, any shape `[...]`
 * @param weight `[rows, size]`
 * @param options paddingIdx, maxNorm, normType, scaleGradByFreq
 * @returns `[..., size]`
 * @throws {TypeError} When `index` holds no integers or `weight` is not a matrix
 * @throws {RangeError} When `paddingIdx` names no row; when computed, if an index names none
 */
export function embedding(index: Tensor, weight: Tensor, options: LookupOptions = {}): Tensor {
  checkLookup("look up an embedding", index, weight);
  const padding = paddingRow("look up an embedding", weight, options.paddingIdx);
  const out = lookUp(index, weight, options);
  return padding === undefined ? out : where(index.eq(padding).unsqueeze(-1), out.detach(), out);
}

/** Rows `[..., size]`, with the table limited and the gradient scaled as asked; padding is not looked at. */
export function lookUp(index: Tensor, weight: Tensor, options: LookupOptions): Tensor {
  const { maxNorm, normType = 2, scaleGradByFreq = false } = options;
  const flat = index.reshape([index.numel]);
  if (maxNorm !== undefined) limitRows(flat, weight, maxNorm, normType);
  const rows = weight.indexSelect(0, flat);
  explainLookup(
    rows.node,
    weight.shape[0],
    (i, n) => `Cannot look up an embedding: index holds ${i}, wanted 0 to ${n - 1}`,
  );
  const out = scaleGradByFreq
    ? rows.detach().withGradient([rows], (g) => {
      const counts = occurrences(flat, weight);
      return [g.div(counts.indexSelect(0, flat).unsqueeze(-1))];
    })
    : rows;
  return out.reshape([...index.shape, weight.shape[1]]);
}

/** How often each row of the table is looked up, in the dtype of the table. */
function occurrences(flat: Tensor, weight: Tensor): Tensor {
  const { dtype, device } = weight;
  return zeros([weight.shape[0]], { dtype, device })
    .scatterAdd(0, flat, ones([flat.numel], { dtype, device }));
}

/** Shortens the rows that are looked up, in place. */
function limitRows(flat: Tensor, weight: Tensor, maxNorm: number, normType: number): void {
  noGrad(() => {
    const table = weight.detach(), norm = pNorm(table, normType, [1], true);
    const isUsed = occurrences(flat, weight).gt(0).unsqueeze(-1);
    const isLong = isUsed.logicalAnd(norm.gt(maxNorm));
    const shorter = table.mul(norm.add(1e-7).reciprocal().mul(maxNorm));
    // Computed now: rows that were looked up before must not be described from the old table.
    weight.assign(where(isLong, shorter, table)).realize();
  });
}

/** @throws {TypeError} When `index` holds no integers or `weight` is not a matrix */
export function checkLookup(action: string, index: Tensor, weight: Tensor): void {
  if (isFloat(index.dtype) || index.dtype === "bool") {
    throw new TypeError(`Cannot ${action} by ${index.dtype}: indices must be int32 or int64`);
  }
  if (weight.ndim !== 2) {
    throw new TypeError(
      `Cannot look up rows of [${weight.shape.join(", ")}]: it must have 2 dimensions`,
    );
  }
}

/** @throws {RangeError} When there is no such row */
export function paddingRow(
  action: string,
  weight: Tensor,
  paddingIdx: number | undefined,
): number | undefined {
  if (paddingIdx === undefined) return undefined;
  const [rows] = weight.shape, row = paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
  if (Number.isInteger(row) && row >= 0 && row < rows) return row;
  throw new RangeError(
    `Cannot ${action} with paddingIdx ${paddingIdx}: the table has ${rows} rows`,
  );
}

/**
 * 1 at the class, 0 elsewhere.
 *
 * @param x Classes, integers of any shape `[...]`
 * @param numClasses Number of classes; -1 (the default) reads `x` back and takes one more than the largest
 * @returns `[..., numClasses]`, int64
 * @throws {TypeError} When `x` holds no integers
 * @throws {RangeError} When `numClasses` is neither -1 nor at least 1, or `x` is empty and it is -1; when computed, if a class is out of range
 */
export function oneHot(x: Tensor, numClasses: number = -1): Tensor {
  if (isFloat(x.dtype) || x.dtype === "bool") {
    throw new TypeError(`Cannot one-hot ${x.dtype}: classes must be integers`);
  }
  if (numClasses !== -1 && !(Number.isInteger(numClasses) && numClasses >= 1)) {
    throw new RangeError(
      `Cannot one-hot ${numClasses} classes: it must be a whole number of at least 1, or -1`,
    );
  }
  const classes = numClasses === -1 ? largest(x) + 1 : numClasses;
  const { device } = x;
  const flat = x.to("int32").reshape([x.numel, 1]);
  // A scatter and no comparison: it refuses a class out of range.
  const hot = zeros([x.numel, classes], { dtype: "int32", device })
    .scatterAdd(1, flat, ones([x.numel, 1], { dtype: "int32", device }));
  return hot.reshape([...x.shape, classes]).to("int64");
}

function largest(x: Tensor): number {
  if (x.numel === 0) {
    throw new RangeError("Cannot one-hot no elements: give the number of classes");
  }
  return codecs[x.dtype].decode(x.amax().data()[0]);
}
