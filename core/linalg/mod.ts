/**
 * Linear algebra, PyTorch's `torch.linalg`. Factorisations are computed in float64 and rounded to the dtype of their input; leading dimensions are a
 * batch everywhere.
 *
 * @module
 */
import { isAutocasting, underPolicy } from "../amp/cast.ts";
import type { Tensor } from "../tensor/tensor.ts";

export { cholesky, choleskyEx, solveTriangular } from "./cholesky.ts";
export { lu, luFactor, luFactorEx, type LuFactors, luSolve, type PLU } from "./lu.ts";
export {
  det,
  inv,
  invEx,
  matrixPower,
  slogdet,
  solve,
  solveEx,
  tensorinv,
  tensorsolve,
} from "./solve.ts";
export { householderProduct, qr, type QrMode } from "./qr.ts";
export { eigh, eigvalsh, type Triangle } from "./eigen.ts";
export { matrixRank, pinv, type RankOptions, type SingularValues, svd, svdvals } from "./svd.ts";
export { type LeastSquares, lstsq } from "./least_squares.ts";
export { cond, matrixNorm, type MatrixOrder, norm, type NormOptions } from "./norms.ts";
export { matrixExp } from "./exponential.ts";
export { multiDot, vander } from "./multi_dot.ts";

/** Cross products of vectors of three along a dimension, the last by default. */
export function cross(a: Tensor, b: Tensor, dim = -1): Tensor {
  return a.cross(b, dim);
}

/** Diagonals of matrices, by default of the last two dimensions. */
export function diagonal(a: Tensor, offset = 0, dim1 = -2, dim2 = -1): Tensor {
  return a.diagonal(offset, dim1, dim2);
}

/** Sums of products along a dimension, the last by default. */
export function vecdot(a: Tensor, b: Tensor, dim = -1): Tensor {
  return a.vecdot(b, dim);
}

/** Matrix product; see `Tensor.matmul`. */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return a.matmul(b);
}

/** Norms of vectors over one, several or all dimensions; see `Tensor.vectorNorm`. */
export function vectorNorm(
  a: Tensor,
  ord = 2,
  options: { dim?: number | readonly number[]; keepdim?: boolean } = {},
): Tensor {
  if (isAutocasting()) return underPolicy("vectorNorm", vectorNorm, arguments);
  return a.vectorNorm(ord, options.dim, { keepdim: options.keepdim });
}
