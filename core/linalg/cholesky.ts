/** Cholesky factors and triangular systems. Computed in float64 whatever the dtype. */
import { shapeText } from "../shape.ts";
import { routine } from "../tensor/routine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { constant, identity, mirrored, packed, sameBatch, squareSizes, unpack } from "./support.ts";

/** Which triangle and side of a triangular system. */
export interface TriangleOptions {
  /** Whether the upper triangle is meant. */
  upper: boolean;
  /** Whether its transpose is. */
  transpose?: boolean;
  /** Whether the diagonal is taken as 1. */
  unit?: boolean;
}

/** Solves `a x = b` in float64 for a triangle of `a`, `[..., n, n]`, and `b`, `[..., n, k]`; leading dimensions broadcast. */
export function solveTriangle(a: Tensor, b: Tensor, options: TriangleOptions): Tensor {
  const { upper, transpose = false, unit = false } = options;
  const [t, right] = sameBatch(a, b, "solve triangular systems of batches");
  const params = { upper, transpose, unit };
  const x = routine("triangularSolve", params, [t, right], right.shape, "float64");
  return x.withGradient([t, right], (g, y) => {
    const gb = solveTriangle(t, g, { upper, transpose: !transpose, unit });
    const full = (transpose ? y.matmul(gb.mT) : gb.matmul(y.mT)).neg(), skip = unit ? 1 : 0;
    return [upper ? full.triu(skip) : full.tril(-skip), gb];
  });
}

/** The lower Cholesky factor in float64 and the order of the first minor that is not positive, 0 if there is none. */
export function choleskyFactor(a: Tensor, action: string): { l: Tensor; info: Tensor } {
  const { batch, n } = squareSizes(a, action === "" ? "factor" : action);
  const x = a.to("float64"), pack = packed("cholesky", { action }, [x], batch, n * n + 1);
  const l = unpack(pack, 0, [n, n]).withGradient([x], (g, y) => {
    // Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527, section 3.
    const inner = mirrored(y.mT.matmul(g)).mul(0.5);
    const left = solveTriangle(y, inner, { upper: false, transpose: true });
    return [solveTriangle(y, left.mT, { upper: false, transpose: true })];
  });
  return { l, info: unpack(pack, n * n, []).to("int32") };
}

/**
 * The Cholesky factor of symmetric positive definite matrices, `a = L L'`. Only the lower triangle is read.
 *
 * @param a `[..., n, n]` floats
 * @param options `upper` gives the transpose of L
 * @returns `[..., n, n]`
 * @throws {TypeError} When the matrices are not square floats
 * @throws {RangeError} When one is not positive definite, as soon as the value is computed; names its place in the batch
 */
export function cholesky(a: Tensor, options: { upper?: boolean } = {}): Tensor {
  const l = choleskyFactor(a, "take the Cholesky factor of").l.to(a.dtype);
  return options.upper ? l.mT : l;
}

/**
 * As {@linkcode cholesky}, but a failure is no error: `info` is the order of the first minor that is not positive, 0 where all are.
 *
 * @returns `L`, `[..., n, n]`, and `info`, `[...]` int32
 */
export function choleskyEx(
  a: Tensor,
  options: { upper?: boolean; checkErrors?: boolean } = {},
): { L: Tensor; info: Tensor } {
  const action = options.checkErrors ? "take the Cholesky factor of" : "";
  const { l, info } = choleskyFactor(a, action), factor = l.to(a.dtype);
  return { L: options.upper ? factor.mT : factor, info };
}

/** `L L'`, or `U' U`, through which gradients of what is made of a factor flow: as in PyTorch to all of its elements, also the zeros. */
function factored(factor: Tensor, upper: boolean): Tensor {
  return upper ? factor.mT.matmul(factor) : factor.matmul(factor.mT);
}

/** The inverse of the matrices whose Cholesky factors are given. */
export function choleskyInverse(factor: Tensor, options: { upper?: boolean } = {}): Tensor {
  const { n } = squareSizes(factor, "invert by the Cholesky factor");
  const { upper = false } = options, x = factor.to("float64");
  const root = solveTriangle(x.detach(), identity(x, n), { upper });
  const inverse = upper ? root.matmul(root.mT) : root.mT.matmul(root);
  return inverse.withGradient([factored(x, upper)], (g, y) => [y.matmul(g).matmul(y).neg()])
    .to(factor.dtype);
}

/** Solves `a x = b` for the matrices `a` whose Cholesky factors are given; leading dimensions broadcast. */
export function choleskySolve(
  b: Tensor,
  factor: Tensor,
  options: { upper?: boolean } = {},
): Tensor {
  const { n } = squareSizes(factor, "solve by the Cholesky factor");
  checkRows(b, n, factor, "solve by the Cholesky factor");
  const { upper = false } = options;
  const [l, right] = sameBatch(factor.to("float64"), b.to("float64"), "solve systems of batches");
  return solveFactored(l, right, upper).to(b.dtype);
}

function solveFactored(l: Tensor, b: Tensor, upper: boolean): Tensor {
  const half = solveTriangle(l.detach(), b.detach(), { upper, transpose: upper });
  const x = solveTriangle(l.detach(), half, { upper, transpose: !upper });
  return x.withGradient([factored(l, upper), b], (g, y) => {
    const gb = solveFactored(l, g, upper);
    return [gb.matmul(y.mT).neg(), gb];
  });
}

/** Right sides must have as many rows as the matrices. */
export function checkRows(b: Tensor, n: number, a: Tensor, action: string): void {
  if (b.ndim < 2 || b.shape[b.ndim - 2] !== n) {
    throw new TypeError(
      `Cannot ${action} ${shapeText(a.shape)} for ${
        shapeText(b.shape)
      }: right sides [..., ${n}, k] are needed`,
    );
  }
}

/**
 * Solves systems with triangular matrices: `a x = b`, or `x a = b` when `left` is false.
 *
 * @param a `[..., n, n]`; the other triangle is not read
 * @param b `[..., n, k]`, or `[..., k, n]` when `left` is false
 * @param options `upper` says which triangle; `unitriangular` takes the diagonal as 1
 * @throws {TypeError} When shapes do not match
 */
export function solveTriangular(
  a: Tensor,
  b: Tensor,
  options: { upper: boolean; left?: boolean; unitriangular?: boolean },
): Tensor {
  const { upper, left = true, unitriangular: unit = false } = options;
  const { n } = squareSizes(a, "solve with");
  if (b.dtype !== a.dtype) {
    throw new TypeError(`Cannot solve with ${a.dtype} for ${b.dtype}: dtypes must be equal`);
  }
  const right = left ? b : b.ndim < 2 ? constant(0, [], b) : b.mT;
  checkRows(right, n, a, "solve with");
  const x = solveTriangle(a.to("float64"), right.to("float64"), { upper, transpose: !left, unit });
  return (left ? x : x.mT).to(b.dtype);
}
