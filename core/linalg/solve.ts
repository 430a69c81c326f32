/** Inverses, systems of equations, determinants. Computed in float64 whatever the dtype. */
import { sameShape, type Shape, shapeText } from "../shape.ts";
import { ramp } from "../tensor/ramp.ts";
import { routine } from "../tensor/routine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkRows } from "./cholesky.ts";
import { factorLu, luSolve } from "./lu.ts";
import { constant, identity, sameBatch, squareSizes } from "./support.ts";

/** Solves `a x = b` in float64 for matrices of equal leading dimensions. */
function solveMatrices(a: Tensor, b: Tensor, action: string): { x: Tensor; info: Tensor } {
  const { LU, pivots, info } = factorLu(a.detach(), { pivot: true, action });
  const x = luSolve(LU, pivots, b.detach()).withGradient([a, b], (g, y) => {
    const gb = solveMatrices(a.mT, g, action).x;
    return [gb.matmul(y.mT).neg(), gb];
  });
  return { x, info };
}

/** Inverses in float64. */
function inverse(a: Tensor, action: string): { x: Tensor; info: Tensor } {
  const { n } = squareSizes(a, "invert");
  const { LU, pivots, info } = factorLu(a.detach(), { pivot: true, action });
  // Giles, "An extended collection of matrix derivative results for forward and reverse mode algorithmic differentiation" (2008), 2.2.3.
  const x = luSolve(LU, pivots, identity(a, n)).withGradient(
    [a],
    (g, y) => [y.mT.matmul(g).matmul(y.mT).neg()],
  );
  return { x, info };
}

/**
 * Inverses of square matrices.
 *
 * @param a `[..., n, n]` floats
 * @throws {TypeError} When the matrices are not square floats
 * @throws {RangeError} When one is singular, as soon as the value is computed; names its place in the batch
 */
export function inv(a: Tensor): Tensor {
  squareSizes(a, "invert");
  return inverse(a.to("float64"), "invert").x.to(a.dtype);
}

/** As {@linkcode inv}, but a singular matrix is no error: `info` is the place of its first zero pivot, counted from 1; 0 where there is none. */
export function invEx(
  a: Tensor,
  options: { checkErrors?: boolean } = {},
): { inverse: Tensor; info: Tensor } {
  squareSizes(a, "invert");
  const { x, info } = inverse(a.to("float64"), options.checkErrors ? "invert" : "");
  return { inverse: x.to(a.dtype), info };
}

/** Whether the right side is one vector for each matrix. */
function isVector(a: Tensor, b: Tensor, left: boolean): boolean {
  return left &&
    (b.ndim === 1 || (b.ndim === a.ndim - 1 && sameShape(b.shape, a.shape.slice(0, -1))));
}

function solved(
  a: Tensor,
  b: Tensor,
  left: boolean,
  action: string,
): { result: Tensor; info: Tensor } {
  const { n } = squareSizes(a, "solve with");
  if (a.dtype !== b.dtype) {
    throw new TypeError(`Cannot solve with ${a.dtype} for ${b.dtype}: dtypes must be equal`);
  }
  const vector = isVector(a, b, left);
  const right = vector ? b.unsqueeze(-1) : left ? b : b.ndim < 2 ? constant(0, [], b) : b.mT;
  checkRows(right, n, a, "solve with");
  const [x, y] = sameBatch(a.to("float64"), right.to("float64"), "solve systems of batches");
  const { x: out, info } = solveMatrices(left ? x : x.mT, y, action);
  const result = vector ? out.squeeze(-1) : left ? out : out.mT;
  return { result: result.to(b.dtype), info };
}

/**
 * Solves `a x = b`, or `x a = b` when `left` is false.
 *
 * @param a `[..., n, n]` floats
 * @param b `[..., n, k]`, or one vector for each matrix, `[..., n]`; `[..., k, n]` when `left` is false
 * @throws {TypeError} When shapes do not match
 * @throws {RangeError} When a matrix is singular, as soon as the value is computed; names its place in the batch
 */
export function solve(a: Tensor, b: Tensor, options: { left?: boolean } = {}): Tensor {
  return solved(a, b, options.left ?? true, "solve with").result;
}

/** As {@linkcode solve}, but a singular matrix is no error: `info` is the place of its first zero pivot, counted from 1; 0 where there is none. */
export function solveEx(
  a: Tensor,
  b: Tensor,
  options: { left?: boolean; checkErrors?: boolean } = {},
): { result: Tensor; info: Tensor } {
  const { left = true, checkErrors = false } = options;
  return solved(a, b, left, checkErrors ? "solve with" : "");
}

/** Matrices of cofactors in float64, also of singular matrices. */
function cofactors(a: Tensor): Tensor {
  const c = routine("cofactor", {}, [a], a.shape, "float64");
  // d C = tr(A^-1 dA) C - C dA' A^-T with A^-T = C / det A.
  return c.withGradient([a], (g, y) => {
    const along = g.mul(y).sum([-2, -1], true).mul(y), across = y.matmul(g.mT).matmul(y);
    return [along.sub(across).div(determinant(a).unsqueeze(-1).unsqueeze(-1))];
  });
}

/** Sign of the permutation, and the diagonal of U. */
function pivotParts(a: Tensor): { sign: Tensor; diagonal: Tensor } {
  const { LU, pivots } = factorLu(a.detach(), { pivot: true, action: "" });
  const n = pivots.shape[pivots.ndim - 1];
  const moved = pivots.ne(ramp(n, a.device).add(1)).where(-1, 1).to("float64");
  return { sign: moved.prod(-1), diagonal: LU.diagonal(0, -2, -1) };
}

/** Determinants in float64; the gradient is the matrix of cofactors, so it exists for singular matrices too. */
function determinant(a: Tensor): Tensor {
  const { sign, diagonal } = pivotParts(a);
  return diagonal.prod(-1).mul(sign).withGradient(
    [a],
    (g) => [a.numel === 0 ? undefined : g.unsqueeze(-1).unsqueeze(-1).mul(cofactors(a))],
  );
}

/**
 * Determinants of square matrices, 1 for empty ones.
 *
 * @param a `[..., n, n]` floats
 * @returns `[...]`
 * @throws {TypeError} When the matrices are not square floats
 */
export function det(a: Tensor): Tensor {
  squareSizes(a, "take the determinant of");
  return determinant(a.to("float64")).to(a.dtype);
}

/** Sign and logarithm of the magnitude of determinants: 0 and minus infinity for singular matrices. */
export function slogdet(a: Tensor): { sign: Tensor; logabsdet: Tensor } {
  squareSizes(a, "take the determinant of");
  const x = a.to("float64"), { sign, diagonal } = pivotParts(x);
  const total = sign.mul(diagonal.sign().prod(-1));
  const logabsdet = diagonal.abs().log().sum(-1).withGradient(
    [x],
    (g) => [
      x.numel === 0 ? undefined : g.unsqueeze(-1).unsqueeze(-1).mul(inverse(x, "").x.mT),
    ],
  );
  return { sign: total.to(a.dtype), logabsdet: logabsdet.to(a.dtype) };
}

/** Logarithm of determinants: NaN where negative, minus infinity where 0. */
export function logdet(a: Tensor): Tensor {
  const { sign, logabsdet } = slogdet(a);
  return sign.lt(0).where(NaN, logabsdet);
}

/** Powers of square matrices by a whole number; negative ones are powers of the inverse. */
export function matrixPower(a: Tensor, n: number): Tensor {
  const { n: size } = squareSizes(a, "raise");
  if (!Number.isInteger(n)) {
    throw new RangeError(`Cannot raise matrices to the power ${n}: a whole number is needed`);
  }
  if (n === 0) return identity(a, size).expand(a.shape);
  let base = n < 0 ? inv(a) : a, out: Tensor | undefined;
  for (let rest = Math.abs(n); rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) out = out === undefined ? base : out.matmul(base);
    if (rest > 1) base = base.matmul(base);
  }
  return out!;
}

/** Numbers of elements before and after a cut, for tensors seen as matrices. */
const product = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/**
 * The inverse of a tensor seen as a matrix whose rows are its first `ind` dimensions.
 * @throws {TypeError} When that matrix is not square
 */
export function tensorinv(a: Tensor, ind = 2): Tensor {
  const rows = a.shape.slice(0, ind), columns = a.shape.slice(ind);
  if (!Number.isInteger(ind) || ind < 1 || product(rows) !== product(columns)) {
    throw new TypeError(
      `Cannot invert ${shapeText(a.shape)} with ${ind} dimensions of rows: they hold ${
        product(rows)
      } elements and the others ${product(columns)}`,
    );
  }
  return inv(a.reshape(product(rows), -1)).reshape([...columns, ...rows]);
}

/**
 * Solves `tensordot(a, x, x.ndim) = b`.
 *
 * @param dims Dimensions of `a` to move to the end first
 * @throws {TypeError} When `a` is not square over the dimensions of `b`
 */
export function tensorsolve(a: Tensor, b: Tensor, dims?: readonly number[]): Tensor {
  const list = dims?.map((d) => d < 0 ? d + a.ndim : d) ?? [];
  const rest = a.shape.map((_, d) => d).filter((d) => !list.includes(d));
  const moved = list.length === 0 ? a : a.permute([...rest, ...list]);
  const shape = moved.shape.slice(b.ndim);
  if (product(shape) !== b.numel) {
    throw new TypeError(
      `Cannot solve ${shapeText(moved.shape)} for ${shapeText(b.shape)}: ${
        product(shape)
      } unknowns and ${b.numel} equations`,
    );
  }
  return solve(moved.reshape(b.numel, -1), b.reshape(-1)).reshape(shape);
}
