/** Singular values: QR, then one-sided Jacobi rotations, by plain loops in float64. */
import type { RoutineParams } from "../../device.ts";
import { eachMatrix, named } from "./factor.ts";
import { applyReflectors, bidiagonalInPlace, householderInPlace } from "./factor_qr.ts";
import type { PlainOperand } from "./mod.ts";

const EPS = 2 ** -52;

/**
 * Rotates the rows of `w`, `[n, n]`, until they are orthogonal, and the rows of `v` along (Hestenes, "Inversion of matrices by
 * biorthogonalization", 1958). False when it does not converge.
 */
function orthogonalise(w: Float64Array, v: Float64Array | undefined, n: number): boolean {
  const dot = (p: number, q: number) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += w[p * n + i] * w[q * n + i];
    return sum;
  };
  const rotate = (x: Float64Array, p: number, q: number, c: number, s: number) => {
    for (let i = 0; i < n; i++) {
      const a = x[p * n + i], b = x[q * n + i];
      x[p * n + i] = c * a - s * b;
      x[q * n + i] = s * a + c * b;
    }
  };
  // Rows below this are rounding errors of the others, without a direction of their own.
  const floor = 1e-40 * w.reduce((sum, x) => sum + x * x, 0);
  const squares = new Float64Array(n);
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < n; p++) squares[p] = dot(p, p);
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) {
        const alpha = squares[p], beta = squares[q], gamma = dot(p, q);
        const still = Math.min(alpha, beta) <= floor ||
          Math.abs(gamma) <= 4 * EPS * Math.sqrt(alpha * beta);
        if (still) continue;
        turned = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t), s = c * t;
        rotate(w, p, q, c, s);
        squares[p] = alpha - t * gamma;
        squares[q] = beta + t * gamma;
        if (v !== undefined) rotate(v, p, q, c, s);
      }
    }
    if (!turned) return true;
  }
  return false;
}

/** Replaces the rows of `w` that are negligible by unit rows orthogonal to all others; the others become unit rows. Sets `s` to the norms. */
function unitRows(w: Float64Array, s: Float64Array, n: number): void {
  for (let p = 0; p < n; p++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += w[p * n + i] ** 2;
    s[p] = Math.sqrt(sum);
  }
  const largest = Math.max(...s), small = largest * EPS * n;
  const done: number[] = [], open: number[] = [];
  for (let p = 0; p < n; p++) (s[p] > small ? done : open).push(p);
  for (const p of done) for (let i = 0; i < n; i++) w[p * n + i] /= s[p];
  for (const p of open) {
    let norm = 0;
    // Some unit vector keeps at least 1 / sqrt(n) of its length outside the rows found so far.
    for (let axis = 0; axis < n && norm < 0.5 / Math.sqrt(n); axis++) {
      for (let i = 0; i < n; i++) w[p * n + i] = i === axis ? 1 : 0;
      for (let twice = 0; twice < 2; twice++) {
        for (const q of done) {
          let sum = 0;
          for (let i = 0; i < n; i++) sum += w[p * n + i] * w[q * n + i];
          for (let i = 0; i < n; i++) w[p * n + i] -= sum * w[q * n + i];
        }
      }
      norm = Math.hypot(...w.subarray(p * n, p * n + n));
    }
    for (let i = 0; i < n; i++) w[p * n + i] /= norm;
    done.push(p);
  }
}

/**
 * `x = u diag(s) vt` of a tall matrix `[m, n]`; `u` is `[m, columns]` and row-major, its columns beyond `n` those of the Q of `x`.
 * Undefined when it does not converge.
 */
function tallSvd(
  x: Float64Array,
  m: number,
  n: number,
  columns: number,
  vectors: boolean,
): { u: Float64Array; s: Float64Array; vt: Float64Array } | undefined {
  const tau = new Float64Array(n);
  householderInPlace(x, m, n, tau);
  // Rows of w are columns of R; rotating them by V' leaves rows u_i s_i.
  const w = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) w[j * n + i] = x[i * n + j];
  const v = vectors ? new Float64Array(n * n) : undefined;
  if (v !== undefined) { for (let i = 0; i < n; i++) v[i * n + i] = 1; }
  if (!orthogonalise(w, v, n)) return undefined;
  const norms = new Float64Array(n);
  unitRows(w, norms, n);
  const order = Array.from(norms.keys()).sort((i, j) => norms[j] - norms[i]);
  const s = Float64Array.from(order, (i) => norms[i]);
  const u = new Float64Array(vectors ? m * columns : 0), vt = new Float64Array(v?.length ?? 0);
  if (v === undefined) return { u, s, vt };
  order.forEach((from, to) => {
    for (let i = 0; i < n; i++) {
      vt[to * n + i] = v[from * n + i];
      u[i * columns + to] = w[from * n + i];
    }
  });
  for (let i = n; i < columns; i++) u[i * columns + i] = 1;
  applyReflectors(x, tau, u, { m, n, count: n, columns });
  return { u, s, vt };
}

/**
 * The orthogonal matrix of the bidiagonal form of a tall matrix, of which columns `n` and up are taken. They are free up to a rotation; LAPACK takes
 * these for the transpose of a wide matrix.
 */
function furtherColumns(x: Float64Array, m: number, n: number): Float64Array {
  const reflected = x.slice(), tau = new Float64Array(n), q = new Float64Array(m * m);
  bidiagonalInPlace(reflected, m, n, tau);
  for (let i = 0; i < m; i++) q[i * m + i] = 1;
  applyReflectors(reflected, tau, q, { m, n, count: n, columns: m });
  return q;
}

/** `[a, out]`: see `RoutineParams.svd`. */
export function svd(
  { full, vectors }: RoutineParams["svd"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (x, index, m, n) => {
    if (!x.every(Number.isFinite)) {
      throw new RangeError(
        `Cannot find the singular values of ${named(a, index)}: it holds NaN or infinity`,
      );
    }
    const wide = m < n, rows = Math.max(m, n), k = Math.min(m, n);
    // Scaled, so that squares neither overflow nor vanish.
    const top = x.reduce((t, v) => Math.max(t, Math.abs(v)), 0) || 1;
    const tall = x.map((_, i) => (wide ? x[(i % m) * n + Math.floor(i / m)] : x[i]) / top);
    const columns = full ? rows : k;
    const further = wide && columns > k + 1 ? furtherColumns(tall, rows, k) : undefined;
    const found = tallSvd(tall, rows, k, columns, vectors);
    if (found === undefined) {
      throw new RangeError(
        `Cannot find the singular values of ${named(a, index)}: no convergence`,
      );
    }
    const { u, s, vt } = found;
    further?.forEach((v, i) => {
      if (i % rows >= k) u[i] = v;
    });
    let at = index * (vectors ? k + rows * columns + k * k : k);
    for (let i = 0; i < k; i++) out.data[at++] = s[i] * top;
    if (!vectors) return;
    const put = (matrix: Float64Array, width: number, transposed: boolean) => {
      const height = matrix.length / width;
      for (let i = 0; i < matrix.length; i++) {
        out.data[at++] = transposed
          ? matrix[(i % height) * width + Math.floor(i / height)]
          : matrix[i];
      }
    };
    // Of the transpose, the factors change places.
    if (wide) {
      put(vt, k, true);
      put(u, columns, true);
    } else {
      put(u, columns, false);
      put(vt, k, false);
    }
  });
}
