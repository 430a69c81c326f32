/** Factorisations and what is solved with them, as methods; the functions are in `core/linalg`. */
import { cholesky, choleskyInverse, choleskySolve, solveTriangular } from "../linalg/cholesky.ts";
import { matrixExp } from "../linalg/exponential.ts";
import { luFactorEx, type LuFactors, luSolve } from "../linalg/lu.ts";
import { geqrf, ormqr, qr } from "../linalg/qr.ts";
import { det, inv, logdet, matrixPower, slogdet } from "../linalg/solve.ts";
import { pinv, type RankOptions, svd } from "../linalg/svd.ts";
import { ProductsTensor } from "./products.ts";
import type { Tensor } from "./tensor.ts";

/** Factorisations and what is solved with them. */
export abstract class DecomposeTensor extends ProductsTensor {
  /** The Cholesky factor of symmetric positive definite matrices; see `linalg.cholesky`. */
  cholesky(options: { upper?: boolean } = {}): Tensor {
    return cholesky(this.self, options);
  }
  /** The inverse of the matrices of which this is the Cholesky factor. */
  choleskyInverse(options: { upper?: boolean } = {}): Tensor {
    return choleskyInverse(this.self, options);
  }
  /** Solves `a x = this` for the matrices `a` whose Cholesky factors are given. */
  choleskySolve(factor: Tensor, options: { upper?: boolean } = {}): Tensor {
    return choleskySolve(this.self, factor, options);
  }
  /** LU factors with row exchanges; see `linalg.luFactorEx`. */
  lu(options: { pivot?: boolean } = {}): LuFactors {
    return luFactorEx(this.self, options);
  }
  /** Solves `a x = this` by the LU factors of `a`. */
  luSolve(lu: Tensor, pivots: Tensor): Tensor {
    return luSolve(lu, pivots, this.self);
  }
  /**
   * Solves `a x = this` for a triangle of `a`; `transpose` uses its transpose.
   * @returns The solution, and `a` itself, as PyTorch has it
   */
  triangularSolve(
    a: Tensor,
    options: { upper?: boolean; transpose?: boolean; unitriangular?: boolean } = {},
  ): { solution: Tensor; clonedCoefficient: Tensor } {
    const { upper = true, transpose = false, unitriangular } = options;
    const solution = transpose
      ? solveTriangular(a.mT, this.self, { upper: !upper, unitriangular })
      : solveTriangular(a, this.self, { upper, unitriangular });
    return { solution, clonedCoefficient: a };
  }
  /** Inverses of square matrices; see `linalg.inv`. */
  inverse(): Tensor {
    return inv(this.self);
  }
  /** The Moore-Penrose inverse; singular values below `rcond` times the largest count as zero. */
  pinverse(rcond = 1e-15): Tensor {
    const options: RankOptions = { rtol: rcond };
    return pinv(this.self, options);
  }
  /** Determinants of square matrices; see `linalg.det`. */
  det(): Tensor {
    return det(this.self);
  }
  /** Logarithm of determinants: NaN where negative, minus infinity where 0. */
  logdet(): Tensor {
    return logdet(this.self);
  }
  /** Sign and logarithm of the magnitude of determinants; see `linalg.slogdet`. */
  slogdet(): { sign: Tensor; logabsdet: Tensor } {
    return slogdet(this.self);
  }
  /** QR factors; `some: false` makes Q square. See `linalg.qr`. */
  qr(options: { some?: boolean } = {}): { Q: Tensor; R: Tensor } {
    return qr(this.self, options.some ?? true ? "reduced" : "complete");
  }
  /** R and Householder reflectors in one matrix, and the scales `tau`; without a gradient. */
  geqrf(): { a: Tensor; tau: Tensor } {
    return geqrf(this.self);
  }
  /** Product of `c` with the Q of these reflectors; see `linalg.householderProduct`. */
  ormqr(
    tau: Tensor,
    c: Tensor,
    options: { left?: boolean; transpose?: boolean } = {},
  ): Tensor {
    return ormqr(this.self, tau, c, options);
  }
  /** Singular values and vectors, `this = U diag(S) V'`; `some: false` makes U and V square. See `linalg.svd`. */
  svd(options: { some?: boolean } = {}): { U: Tensor; S: Tensor; V: Tensor } {
    const { U, S, Vh } = svd(this.self, { fullMatrices: !(options.some ?? true) });
    return { U, S, V: Vh.mT };
  }
  /** The exponential of square matrices. */
  matrixExp(): Tensor {
    return matrixExp(this.self);
  }
  /** Powers of square matrices by a whole number. */
  matrixPower(n: number): Tensor {
    return matrixPower(this.self, n);
  }
}
