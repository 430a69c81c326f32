/** Norms and condition numbers of matrices. */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import { normalizeDim, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { inv } from "./solve.ts";
import { constant, matrixSizes, squareSizes } from "./support.ts";
import { svdvals } from "./svd.ts";

/** Norms of matrices: Frobenius, nuclear, largest or smallest column sum (1, -1), row sum (infinities), singular value (2, -2). */
export type MatrixOrder = "fro" | "nuc" | 1 | -1 | 2 | -2 | number;

/** Norms of the matrices that two dimensions hold; the others stay. */
export function matrixNorm(
  a: Tensor,
  ord: MatrixOrder = "fro",
  dims: readonly number[] = [-2, -1],
  keepdim = false,
): Tensor {
  if (isAutocasting()) return underPolicy("matrixNorm", matrixNorm, arguments);
  matrixSizes(a, "take the matrix norm of");
  const [r, c] = dims.map((d) => normalizeDim(d, a.ndim, "take the norm over"));
  if (dims.length !== 2 || r === c) {
    throw new TypeError(
      `Cannot take the matrix norm of ${shapeText(a.shape)} over dims ${
        shapeText(dims)
      }: two different ones are needed`,
    );
  }
  if (ord === "fro") return a.vectorNorm(2, [r, c], { keepdim });
  const restore = (x: Tensor) =>
    keepdim ? [r, c].sort((p, q) => p - q).reduce((t, d) => t.unsqueeze(d), x) : x;
  if (ord === "nuc" || Math.abs(ord) === 2) {
    const s = svdvals(a.movedim([r, c], [-2, -1]));
    return restore(ord === "nuc" ? s.sum(-1) : ord === 2 ? s.amax(-1) : s.amin(-1));
  }
  if (Math.abs(ord) !== 1 && Math.abs(ord) !== Infinity) {
    throw new RangeError(
      `Cannot take the matrix norm of order ${ord}: "fro", "nuc", 1, 2 and Infinity, or their negatives, are defined`,
    );
  }
  const [inside, along] = Math.abs(ord) === 1 ? [r, c] : [c, r];
  const sums = a.abs().sum(inside, true), most = ord > 0;
  const out = most ? sums.amax(along, true) : sums.amin(along, true);
  return keepdim ? out : out.squeeze(Math.max(r, c)).squeeze(Math.min(r, c));
}

/** Options of {@linkcode norm}. */
export interface NormOptions {
  /** One dimension for vectors, two for matrices. */
  dim?: number | readonly number[];
  /** Whether they stay with size 1. */
  keepdim?: boolean;
}

/**
 * Norms of vectors or matrices. Without `ord` the Euclidean norm over all given dimensions (everything by default); with it, a matrix norm over two
 * dimensions or of a 2-D tensor, else a vector norm.
 *
 * @throws {TypeError} When `ord` is given for more than two dimensions and no `dim`
 */
export function norm(a: Tensor, ord?: MatrixOrder, options: NormOptions = {}): Tensor {
  const { dim, keepdim = false } = options;
  if (ord === undefined) return a.vectorNorm(2, dim, { keepdim });
  const dims = dim === undefined ? a.shape.map((_, d) => d) : typeof dim === "number" ? [dim] : dim;
  if (dims.length === 2) return matrixNorm(a, ord, dims, keepdim);
  if (dims.length > 2 || typeof ord === "string") {
    throw new TypeError(
      `Cannot take the norm of order ${ord} of ${
        shapeText(a.shape)
      } over ${dims.length} dims: name one for vectors or two for matrices`,
    );
  }
  return a.vectorNorm(ord, dims, { keepdim });
}

/**
 * Condition numbers, `norm(a) norm(a^-1)`; by default the ratio of the largest to the smallest singular value.
 *
 * @param a `[..., m, n]` floats; square unless `p` is 2 or -2
 */
export function cond(a: Tensor, p: MatrixOrder = 2): Tensor {
  const { batch } = matrixSizes(a, "take the condition number of");
  if (p === 2 || p === -2) {
    const s = svdvals(a), k = s.shape[s.ndim - 1];
    if (k === 0) return constant(0, batch, a);
    const [top, low] = [s.select(-1, 0), s.select(-1, k - 1)];
    return p === 2 ? top.div(low) : low.div(top);
  }
  squareSizes(a, "take the condition number of");
  return a.numel === 0 ? constant(0, batch, a) : matrixNorm(a, p).mul(matrixNorm(inv(a), p));
}
