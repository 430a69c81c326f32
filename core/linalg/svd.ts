/** Singular values, and what is made of them. Computed in float64 whatever the dtype. */
import { isGradEnabled } from "../node.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { fromEigen, symmetricEigen } from "./eigen.ts";
import {
  constant,
  identity,
  matrixSizes,
  packed,
  reciprocalOrZero,
  scaleColumns,
  squareSizes,
  unpack,
} from "./support.ts";

/** The factors of `a = U diag(S) Vh`. */
export interface SingularValues {
  /** Columns are left singular vectors. */
  U: Tensor;
  /** Descending. */
  S: Tensor;
  /** Rows are right singular vectors. */
  Vh: Tensor;
}

/**
 * Factors in float64. Gradient: Townsend, "Differentiating the singular value decomposition" (2016); Giles (2008), 3.2. Equal or zero singular values give
 * nothing where the formula would divide by zero: their vectors may be turned freely. Nor do the further vectors of square factors.
 */
export function singularValues(a: Tensor, full: boolean): SingularValues {
  const { batch, m, n } = matrixSizes(a, "find the singular values of"), k = Math.min(m, n);
  const x = a.to("float64"), [mu, nv] = full ? [m, n] : [k, k];
  if (a.numel === 0) {
    return {
      U: identity(x, m, mu).expand([...batch, m, mu]),
      S: constant(0, [...batch, k], x),
      Vh: identity(x, nv, n).expand([...batch, nv, n]),
    };
  }
  const parts = (t: Tensor) => ({
    S: unpack(t, 0, [k]),
    U: unpack(t, k, [m, mu]),
    Vh: unpack(t, k + m * mu, [nv, n]),
  });
  const pack = packed("svd", { full, vectors: true }, [x], batch, k + m * mu + nv * n);
  return parts(pack.withGradient([x], (g, y) => {
    const { S: s, U, Vh } = parts(y), { S: gs, U: gU, Vh: gVh } = parts(g);
    const [u, gu] = [U, gU].map((t) => t.narrow(-1, 0, k));
    const [v, gv] = [Vh, gVh].map((t) => t.narrow(-2, 0, k).mT);
    const row = s.unsqueeze(-2), column = s.unsqueeze(-1);
    const gaps = reciprocalOrZero(row.sub(column).mul(row.add(column)));
    const turned = (p: Tensor, gp: Tensor) => {
      const c = p.mT.matmul(gp);
      return c.sub(c.mT).mul(gaps);
    };
    const inner = turned(u, gu).mul(row).add(turned(v, gv).mul(column)).add(gs.diagEmbed());
    let out = u.matmul(inner).matmul(v.mT);
    const inverse = reciprocalOrZero(s);
    /** What lies outside the space of `p`, divided by the singular values. */
    const outside = (p: Tensor, gp: Tensor) =>
      scaleColumns(gp.sub(p.matmul(p.mT.matmul(gp))), inverse);
    if (m > k) out = out.add(outside(u, gu).matmul(v.mT));
    if (n > k) out = out.add(u.matmul(outside(v, gv).mT));
    return [out];
  }));
}

/**
 * Singular values, descending, with orthonormal vectors: `a = U diag(S) Vh`. Each pair of vectors is free up to a sign, those of equal values up to a
 * rotation; only functions that do not depend on that choice have a meaningful gradient.
 *
 * @param a `[..., m, n]` floats
 * @param options `fullMatrices` (true) makes U and Vh square, else they have `k = min(m, n)` columns and rows
 * @returns `U`, `[..., m, m or k]`, `S`, `[..., k]`, and `Vh`, `[..., n or k, n]`
 * @throws {TypeError} When there are less than two dimensions, or no floats
 * @throws {RangeError} When a matrix holds NaN or infinity, as soon as the value is computed
 */
export function svd(a: Tensor, options: { fullMatrices?: boolean } = {}): SingularValues {
  const { U, S, Vh } = singularValues(a, options.fullMatrices ?? true);
  return { U: U.to(a.dtype), S: S.to(a.dtype), Vh: Vh.to(a.dtype) };
}

/** The singular values of {@linkcode svd} alone. */
export function svdvals(a: Tensor): Tensor {
  const { batch, m, n } = matrixSizes(a, "find the singular values of");
  if (isGradEnabled() && a.requiresGrad) return singularValues(a, false).S.to(a.dtype);
  const params = { full: false, vectors: false };
  return packed("svd", params, [a.to("float64")], batch, Math.min(m, n)).to(a.dtype);
}

/** What counts as zero among singular values: a number, or a tensor of one for each matrix. */
export interface RankOptions {
  /** Largest value that is zero. */
  atol?: number | Tensor;
  /** The same, relative to the largest singular value; unless `atol` is given, the larger size times the dtype's precision. */
  rtol?: number | Tensor;
  /** Whether the matrices are symmetric; their lower triangle is read. */
  hermitian?: boolean;
}

const precisions: Readonly<Record<string, number>> = {
  float64: 2 ** -52,
  float32: 2 ** -23,
  float16: 2 ** -10,
  bfloat16: 2 ** -7,
};

/** Smallest relative step of a float dtype. */
export function precision(a: Tensor): number {
  return precisions[a.dtype];
}

/** Where values, descending or not, count as more than zero. */
function significant(a: Tensor, values: Tensor, options: RankOptions): Tensor {
  const [m, n] = a.shape.slice(-2);
  if (values.numel === 0) return values.gt(0);
  const given = options.atol !== undefined &&
    (typeof options.atol !== "number" || options.atol > 0);
  const rtol = options.rtol ?? (given ? 0 : precision(a) * Math.max(m, n));
  const relative = values.amax(-1).mul(typeof rtol === "number" ? rtol : rtol.to("float64"));
  const { atol = 0 } = options;
  const limit = relative.maximum(typeof atol === "number" ? atol : atol.to("float64"));
  return values.gt(limit.unsqueeze(-1));
}

/** Number of singular values that are not zero, int64. Shape `[...]`. */
export function matrixRank(a: Tensor, options: RankOptions = {}): Tensor {
  if (options.hermitian) squareSizes(a, "take the rank of");
  const { batch } = matrixSizes(a, "take the rank of"), x = a.detach().to("float64");
  const values = options.hermitian ? eigvalues(x).abs() : svdvals(x);
  if (values.numel === 0) return values.gt(0).sum(-1).expand(batch);
  return significant(a, values, options).sum(-1);
}

const eigvalues = (x: Tensor): Tensor => symmetricEigen(x, "L").values;

/**
 * The Moore-Penrose inverse. Gradient: Golub and Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables separate"
 * (1973).
 *
 * @param a `[..., m, n]` floats
 * @param options Singular values that count as zero
 * @returns `[..., n, m]`
 * @throws {TypeError} When there are less than two dimensions, or no floats
 */
export function pinv(a: Tensor, options: RankOptions = {}): Tensor {
  return pseudoinverse(a, options).to(a.dtype);
}

/** The same in float64. */
export function pseudoinverse(a: Tensor, options: RankOptions = {}): Tensor {
  if (options.hermitian) squareSizes(a, "invert");
  matrixSizes(a, "invert");
  const x = a.to("float64");
  return inverseOf(a.detach(), options).withGradient([x], (g, p) => {
    const gt = g.mT, outer = p.matmul(p.mT), inner = p.mT.matmul(p);
    const left = gt.matmul(outer), right = inner.matmul(gt);
    return [
      p.mT.matmul(g).matmul(p.mT).neg()
        .add(left).sub(x.matmul(p).matmul(left))
        .add(right).sub(right.matmul(p).matmul(x)),
    ];
  });
}

function inverseOf(a: Tensor, options: RankOptions): Tensor {
  if (options.hermitian) {
    const { values, vectors } = symmetricEigen(a, "L");
    const kept = significant(a, values.abs(), options);
    return fromEigen(vectors, kept.where(reciprocalOrZero(values), 0));
  }
  const { U, S, Vh } = singularValues(a, false);
  const kept = significant(a, S, options);
  return scaleColumns(Vh.mT, kept.where(reciprocalOrZero(S), 0)).matmul(U.mT);
}
