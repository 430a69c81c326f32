/** Least squares. */
import { isFloat } from "../dtype.ts";
import { sameShape, shapeText } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { constant, matrixSizes, sameBatch } from "./support.ts";
import { matrixRank, precision, pseudoinverse, svdvals } from "./svd.ts";

/** What {@linkcode lstsq} gives; fields that a driver leaves out are empty, `[0]`. */
export interface LeastSquares {
  /** `[..., n, k]`, or `[..., n]` for vectors. */
  solution: Tensor;
  /** Sums of squares of what remains, `[..., k]`, when there are more equations than unknowns and every matrix has full rank; not from `gelsy`. */
  residuals: Tensor;
  /** Ranks, `[...]` int64; not from `gels`. */
  rank: Tensor;
  /** `[..., min(m, n)]`, from `gelsd` and `gelss`. */
  singularValues: Tensor;
}

/**
 * Solutions of `a x = b` with the least squares of what remains, among several those of the least norm. All drivers solve by the pseudoinverse in
 * float64; they differ in what else they return. `gelsd` and `gelss` read ranks back to the host when there are more equations than unknowns.
 *
 * @param a `[..., m, n]` floats
 * @param b `[..., m, k]`, or one vector for each matrix, `[..., m]`
 * @param options `rcond` is the smallest singular value, relative to the largest, that is not zero
 * @throws {TypeError} When shapes or dtypes do not match
 */
export function lstsq(
  a: Tensor,
  b: Tensor,
  options: { rcond?: number; driver?: "gels" | "gelsy" | "gelsd" | "gelss" } = {},
): LeastSquares {
  const { m, n } = matrixSizes(a, "solve with"), { driver = "gelsy" } = options;
  const rcond = options.rcond ?? (isFloat(a.dtype) ? precision(a) * Math.max(m, n) : 0);
  const vector = a.ndim - b.ndim === 1 && sameShape(b.shape, a.shape.slice(0, -1));
  if (!vector && (b.ndim < 2 || b.shape[b.ndim - 2] !== m) || a.dtype !== b.dtype) {
    throw new TypeError(
      `Cannot solve ${shapeText(a.shape)} ${a.dtype} for ${
        shapeText(b.shape)
      } ${b.dtype}: right sides [..., ${m}, k] of the same dtype are needed`,
    );
  }
  const [x, y] = sameBatch(
    a.to("float64"),
    (vector ? b.unsqueeze(-1) : b).to("float64"),
    "solve systems of batches",
  );
  const solution = pseudoinverse(x, { rtol: rcond }).matmul(y), empty = constant(0, [0], a);
  const ranked = driver !== "gels";
  const rank = ranked ? matrixRank(a, { rtol: rcond }) : empty.to("int64");
  const full = m > n && driver !== "gelsy" &&
    (!ranked || Number(rank.ne(n).sum().item()) === 0);
  const rest = x.matmul(solution).sub(y);
  return {
    solution: (vector ? solution.squeeze(-1) : solution).to(a.dtype),
    residuals: full ? rest.mul(rest).sum(-2).to(a.dtype) : empty,
    rank,
    singularValues: driver === "gelsd" || driver === "gelss" ? svdvals(a.detach()) : empty,
  };
}
