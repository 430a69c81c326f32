/** LU factors. Computed in float64 whatever the dtype. */
import { shapeText } from "../shape.ts";
import { assembleNode } from "../tensor/movement.ts";
import { ramp } from "../tensor/ramp.ts";
import { routine } from "../tensor/routine.ts";
import { wrap } from "../tensor/base.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkRows, solveTriangle } from "./cholesky.ts";
import { constant, identity, matrixSizes, packed, squareSizes, unpack } from "./support.ts";

/** LU factors in one matrix, with 1-based row exchanges and the place of the first zero pivot. */
export interface LuFactors {
  /** L below the diagonal, U on and above it, `[..., m, n]`. */
  LU: Tensor;
  /** Row that was exchanged with each row, counted from 1, `[..., min(m, n)]` int32. */
  pivots: Tensor;
  /** Place of the first pivot that is 0, counted from 1, else 0; `[...]` int32. */
  info: Tensor;
}

/** The factors of `a = P L U`. */
export interface PLU {
  /** Permutation, `[..., m, m]`. */
  P: Tensor;
  /** Unit lower triangle, `[..., m, min(m, n)]`. */
  L: Tensor;
  /** Upper triangle, `[..., min(m, n), n]`. */
  U: Tensor;
}

/** The two triangles of packed factors. */
function triangles(lu: Tensor): { L: Tensor; U: Tensor } {
  const [m, n] = lu.shape.slice(-2), k = Math.min(m, n);
  return {
    L: lu.narrow(-1, 0, k).tril(-1).add(identity(lu, m, k)),
    U: lu.narrow(-2, 0, k).triu(),
  };
}

/** The permutation matrices of row exchanges, `[..., m, m]`. */
function permutation(pivots: Tensor, m: number, like: Tensor): Tensor {
  const batch = pivots.shape.slice(0, -1), none = pivots.numel === 0;
  const rows = none
    ? ramp(m, like.device).expand([...batch, m])
    : routine("pivotOrder", {}, [pivots], [...batch, m], "int32");
  return ramp(m, like.device).unsqueeze(1).eq(rows.unsqueeze(-2)).to(like.dtype);
}

/** One matrix above or beside another. */
function joined(a: Tensor, b: Tensor, dim: -1 | -2): Tensor {
  if (a.numel === 0 || b.numel === 0) return a.numel === 0 ? b : a;
  const d = a.ndim + dim, zero = a.shape.map(() => 0);
  const starts = [zero, zero.map((_, i) => i === d ? a.shape[d] : 0)];
  const shape = a.shape.map((s, i) => i === d ? s + b.shape[d] : s);
  return wrap(assembleNode([a.node, b.node], starts, shape));
}

/**
 * Gradient of `a = P L U` from that of the packed factors: the square block as in de Hoog, Anderssen and Lukas, "Differentiation of matrix functionals
 * using triangular factorization" (2011), the rest of a wide or tall matrix being solved from it.
 */
function factorGradient(g: Tensor, lu: Tensor, pivots: Tensor): Tensor {
  const [m, n] = lu.shape.slice(-2), k = Math.min(m, n);
  const { L, U } = triangles(lu), lower = L.narrow(-2, 0, k), upper = U.narrow(-1, 0, k);
  const gl = g.narrow(-1, 0, k).tril(-1), gu = g.narrow(-2, 0, k).triu();
  let below = lower.mT.matmul(gl.narrow(-2, 0, k)), above = gu.narrow(-1, 0, k).matmul(upper.mT);
  if (n > k) below = below.sub(gu.narrow(-1, k, n - k).matmul(U.narrow(-1, k, n - k).mT));
  if (m > k) above = above.sub(L.narrow(-2, k, m - k).mT.matmul(gl.narrow(-2, k, m - k)));
  const fromLeft = (x: Tensor) =>
    solveTriangle(lower, x, { upper: false, transpose: true, unit: true });
  const fromRight = (x: Tensor) => solveTriangle(upper, x.mT, { upper: true }).mT;
  const square = fromLeft(fromRight(below.tril(-1).add(above.triu())));
  const out = n > k
    ? joined(square, fromLeft(gu.narrow(-1, k, n - k)), -1)
    : m > k
    ? joined(square, fromRight(gl.narrow(-2, k, m - k)), -2)
    : square;
  return permutation(pivots, m, lu).matmul(out);
}

/** The factors in float64. */
export function factorLu(a: Tensor, options: { pivot: boolean; action: string }): LuFactors {
  const { batch, m, n } = matrixSizes(a, options.action === "" ? "factor" : options.action);
  const k = Math.min(m, n), x = a.to("float64");
  const pack = packed("lu", options, [x], batch, m * n + k + 1);
  const pivots = unpack(pack, m * n, [k]).to("int32");
  const LU = unpack(pack, 0, [m, n]).withGradient(
    [x],
    (g, y) => [y.numel === 0 ? g : factorGradient(g, y, pivots)],
  );
  return { LU, pivots, info: unpack(pack, m * n + k, []).to("int32") };
}

/**
 * LU factors with partial pivoting (none when `pivot` is false). A singular matrix is no error here.
 *
 * @param a `[..., m, n]` floats
 * @throws {TypeError} When there are less than two dimensions, or no floats
 */
export function luFactor(
  a: Tensor,
  options: { pivot?: boolean } = {},
): { LU: Tensor; pivots: Tensor } {
  const { LU, pivots } = luFactorEx(a, options);
  return { LU, pivots };
}

/** As {@linkcode luFactor}, with `info`; `checkErrors` makes a zero pivot an error. */
export function luFactorEx(
  a: Tensor,
  options: { pivot?: boolean; checkErrors?: boolean } = {},
): LuFactors {
  const { pivot = true, checkErrors = false } = options;
  const found = factorLu(a, { pivot, action: checkErrors ? "take the LU factors of" : "" });
  return { ...found, LU: found.LU.to(a.dtype) };
}

/** Splits packed factors and row exchanges into `P`, `L` and `U`. */
export function luUnpack(lu: Tensor, pivots: Tensor): PLU {
  const { m } = matrixSizes(lu, "unpack");
  return { P: permutation(pivots, m, lu), ...triangles(lu) };
}

/** `a = P L U` with partial pivoting (P is the identity when `pivot` is false). */
export function lu(a: Tensor, options: { pivot?: boolean } = {}): PLU {
  const { LU, pivots } = luFactorEx(a, options);
  return luUnpack(LU, pivots);
}

/**
 * Solves `a x = b` with the LU factors of `a`; `x a = b` when `left` is false; with the transpose of `a` when `adjoint`.
 *
 * @param lu `[..., n, n]`
 * @param pivots `[..., n]` int32
 * @param b `[..., n, k]`, or `[..., k, n]` when `left` is false; leading dimensions broadcast
 * @throws {TypeError} When shapes do not match
 */
export function luSolve(
  lu: Tensor,
  pivots: Tensor,
  b: Tensor,
  options: { left?: boolean; adjoint?: boolean } = {},
): Tensor {
  const { left = true, adjoint = false } = options;
  const { n } = squareSizes(lu, "solve by the LU factors");
  if (pivots.ndim !== lu.ndim - 1 || pivots.shape[pivots.ndim - 1] !== n) {
    throw new TypeError(
      `Cannot solve by the LU factors ${shapeText(lu.shape)} with pivots ${
        shapeText(pivots.shape)
      }: one for each row is needed`,
    );
  }
  const right = left ? b : b.ndim < 2 ? constant(0, [], b) : b.mT;
  checkRows(right, n, lu, "solve by the LU factors");
  const f = lu.to("float64"), p = permutation(pivots, n, f), y = right.to("float64");
  const lower = { upper: false, unit: true }, upper = { upper: true };
  // The transposed system from the right is the plain one from the left.
  const x = adjoint === left
    ? p.matmul(
      solveTriangle(f, solveTriangle(f, y, { ...upper, transpose: true }), {
        ...lower,
        transpose: true,
      }),
    )
    : solveTriangle(f, solveTriangle(f, p.mT.matmul(y), lower), upper);
  return (left ? x : x.mT).to(b.dtype);
}
