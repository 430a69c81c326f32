/** Eigenvalues of symmetric matrices. Computed in float64 whatever the dtype. */
import { isGradEnabled } from "../node.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { packed, reciprocalOrZero, scaleColumns, squareSizes, unpack } from "./support.ts";

/** Which triangle is read. */
export type Triangle = "L" | "U";

/**
 * Eigenvalues and vectors in float64. Gradient: Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic
 * differentiation" (2008), 3.1. Pairs of equal eigenvalues give nothing: their vectors may be turned freely, so a function with a gradient does not
 * depend on how.
 */
export function symmetricEigen(a: Tensor, uplo: Triangle): { values: Tensor; vectors: Tensor } {
  const { batch, n } = squareSizes(a, "find the eigenvalues of");
  const params = { upper: uplo === "U", vectors: true }, x = a.to("float64");
  const both = packed("symmetricEigen", params, [x], batch, n + n * n).withGradient([x], (g, y) => {
    const [values, gl] = [y, g].map((t) => unpack(t, 0, [n]));
    const [v, gv] = [y, g].map((t) => unpack(t, n, [n, n]));
    const gaps = values.unsqueeze(-2).sub(values.unsqueeze(-1));
    const turn = v.mT.matmul(gv);
    const inner = turn.sub(turn.mT).mul(reciprocalOrZero(gaps)).mul(0.5).add(gl.diagEmbed());
    return [v.matmul(inner).matmul(v.mT)];
  });
  return { values: unpack(both, 0, [n]), vectors: unpack(both, n, [n, n]) };
}

/**
 * Eigenvalues, ascending, and orthonormal eigenvectors of symmetric matrices: `a = V diag(L) V'`. Each vector is free up to its sign, those of equal
 * values up to a rotation; only functions that do not depend on that choice have a meaningful gradient.
 *
 * @param a `[..., n, n]` floats, of which one triangle is read
 * @param uplo Which triangle
 * @returns `eigenvalues`, `[..., n]`, and `eigenvectors` as columns, `[..., n, n]`
 * @throws {TypeError} When the matrices are not square floats
 * @throws {RangeError} When one holds NaN or infinity, as soon as the value is computed
 */
export function eigh(
  a: Tensor,
  uplo: Triangle = "L",
): { eigenvalues: Tensor; eigenvectors: Tensor } {
  const { values, vectors } = symmetricEigen(a, uplo);
  return { eigenvalues: values.to(a.dtype), eigenvectors: vectors.to(a.dtype) };
}

/** The eigenvalues of {@linkcode eigh} alone. */
export function eigvalsh(a: Tensor, uplo: Triangle = "L"): Tensor {
  const { batch, n } = squareSizes(a, "find the eigenvalues of");
  if (isGradEnabled() && a.requiresGrad) return symmetricEigen(a, uplo).values.to(a.dtype);
  const params = { upper: uplo === "U", vectors: false };
  return packed("symmetricEigen", params, [a.to("float64")], batch, n).to(a.dtype);
}

/** `V diag(f) V'` for vectors and numbers in place of the eigenvalues. */
export function fromEigen(vectors: Tensor, values: Tensor): Tensor {
  return scaleColumns(vectors, values).matmul(vectors.mT);
}
