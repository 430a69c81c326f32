/** Arguments of the routines of linear algebra. Results that belong together lie behind each other in one row for each matrix. */

/** Rows of `RoutineParams`; every matrix is row-major, leading dimensions are a batch. */
export interface FactorParams {
  /**
   * `[a, out]`: Cholesky factors of `[..., n, n]` from the lower triangle, each as `n * n` elements and the 1-based order of the first minor that is
   * not positive or 0. With an `action` such a minor is an error that starts with "Cannot" and the action.
   */
  readonly cholesky: { readonly action: string };
  /**
   * `[a, out]`: LU factors of `[..., m, n]`, each as `m * n` elements, `k = min(m, n)` 1-based pivots, and the 1-based place of the first pivot that
   * is 0, or 0. With an `action` such a pivot is an error that starts with "Cannot" and the action.
   */
  readonly lu: { readonly pivot: boolean; readonly action: string };
  /** `[pivots, out]`: rows in the order that the exchanges of `lu` leave, `[..., k]` to int32 `[..., m]`. */
  readonly pivotOrder: Readonly<Record<never, never>>;
  /** `[a, b, out]`: solves `a x = b` for a triangle of `[..., n, n]` (or its transpose; with `unit` its diagonal is 1) and `[..., n, k]`. */
  readonly triangularSolve: {
    readonly upper: boolean;
    readonly transpose: boolean;
    readonly unit: boolean;
  };
  /** `[a, out]`: R and reflectors of `[..., m, n]` as LAPACK's geqrf has them, `m * n` elements and `min(m, n)` scales each. */
  readonly householder: Readonly<Record<never, never>>;
  /** `[a, tau, out]`: the first columns of the product of the reflectors in `[..., m, n]`. */
  readonly reflectors: Readonly<Record<never, never>>;
  /** `[a, out]`: ascending eigenvalues of symmetric `[..., n, n]`, given by one triangle, and (`vectors`) the matrix of eigenvectors. */
  readonly symmetricEigen: { readonly upper: boolean; readonly vectors: boolean };
  /** `[a, out]`: descending singular values of `[..., m, n]` and (`vectors`) u and v transposed, square when `full`, else of `min(m, n)`. */
  readonly svd: { readonly full: boolean; readonly vectors: boolean };
  /** `[a, out]`: exponentials of `[..., n, n]`. */
  readonly matrixExp: Readonly<Record<never, never>>;
  /** `[a, out]`: matrices of cofactors of `[..., n, n]`. */
  readonly cofactor: Readonly<Record<never, never>>;
}
