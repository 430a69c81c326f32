/** Approximate factors of low rank. */
import { shapeText } from "../shape.ts";
import { randn } from "../tensor/mod.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { qr } from "./qr.ts";
import { matrixSizes } from "./support.ts";
import { svd } from "./svd.ts";

/** How an approximation is found. */
export interface LowRankOptions {
  /** Rank, 6 by default. */
  q?: number;
  /** Iterations that sharpen the subspace, 2 by default. */
  niter?: number;
  /** A matrix to subtract first, such as the mean of each column. */
  M?: Tensor;
}

/**
 * The largest `q` singular values and their vectors, approximately: `a ~ U diag(S) V'` (Halko, Martinsson and Tropp, "Finding structure with randomness",
 * arXiv:0909.4061, algorithms 4.4 and 5.1). Draws from the default generator.
 *
 * @param a `[..., m, n]` floats
 * @returns `U`, `[..., m, q]`, `S`, `[..., q]`, `V`, `[..., n, q]`
 * @throws {RangeError} When `q` is larger than m or n
 */
export function svdLowrank(
  a: Tensor,
  options: LowRankOptions = {},
): { U: Tensor; S: Tensor; V: Tensor } {
  const { m, n } = matrixSizes(a, "find the singular values of"), { q = 6, niter = 2 } = options;
  if (!Number.isInteger(q) || q < 0 || q > Math.min(m, n)) {
    throw new RangeError(
      `Cannot approximate ${shapeText(a.shape)} by rank ${q}: 0 to ${Math.min(m, n)} are possible`,
    );
  }
  const x = options.M === undefined ? a : a.sub(options.M.expand(a.shape));
  const start = randn([n, q], { dtype: a.dtype, device: a.device });
  let basis = qr(x.matmul(start)).Q;
  for (let i = 0; i < niter; i++) basis = qr(x.matmul(qr(x.mT.matmul(basis)).Q)).Q;
  const { U, S, Vh } = svd(basis.mT.matmul(x), { fullMatrices: false });
  return { U: basis.matmul(U), S, V: Vh.mT };
}

/**
 * Principal components: {@linkcode svdLowrank} after the mean of each column has been subtracted, unless `center` is false.
 *
 * @param a `[..., m, n]` floats, one observation in each row
 */
export function pcaLowrank(
  a: Tensor,
  options: { q?: number; center?: boolean; niter?: number } = {},
): { U: Tensor; S: Tensor; V: Tensor } {
  const { m, n } = matrixSizes(a, "find the principal components of");
  const { q = Math.min(6, m, n), center = true, niter } = options;
  return svdLowrank(center ? a.sub(a.mean(-2, true)) : a, { q, niter });
}
