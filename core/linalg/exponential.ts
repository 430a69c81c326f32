/** The matrix exponential. Computed in float64 whatever the dtype. */
import { wrap } from "../tensor/base.ts";
import { assembleNode } from "../tensor/movement.ts";
import { routine } from "../tensor/routine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { squareSizes } from "./support.ts";

/** In float64; the gradient is a block of the exponential of `[[a', g], [0, a']]` (Najfeld and Havel, "Derivatives of the matrix exponential and their computation", 1995). */
function exponential(a: Tensor): Tensor {
  const n = a.shape[a.ndim - 1];
  return routine("matrixExp", {}, [a], a.shape, "float64").withGradient([a], (g) => {
    const zero = a.shape.map(() => 0), batch = a.shape.slice(0, -2), at = zero.slice(0, -2);
    const parts = [a.mT, g, a.mT].map((t) => t.node);
    const starts = [zero, [...at, 0, n], [...at, n, n]];
    const block = wrap(assembleNode(parts, starts, [...batch, 2 * n, 2 * n]));
    return [exponential(block).narrow(-2, 0, n).narrow(-1, n, n)];
  });
}

/**
 * `exp(a)` of square matrices, the sum of `a^k / k!`.
 *
 * @param a `[..., n, n]` floats
 * @throws {TypeError} When the matrices are not square floats
 */
export function matrixExp(a: Tensor): Tensor {
  squareSizes(a, "take the exponential of");
  return exponential(a.to("float64")).to(a.dtype);
}
