/** Eigenvalues of symmetric matrices: Householder tridiagonal form, then implicit QR steps, by plain loops in float64. */
import type { RoutineParams } from "../../device.ts";
import { eachMatrix, named } from "./factor.ts";
import type { PlainOperand } from "./mod.ts";

/**
 * Reduces a symmetric matrix (its lower triangle) to tridiagonal form, `q' a q`. Leaves the diagonal in `d`, the subdiagonal in `e` (`e[i]` beside
 * `d[i]` and `d[i + 1]`) and the product of the reflectors in `q`, when given (Golub and Van Loan, "Matrix Computations", algorithm 8.3.1).
 */
function tridiagonal(
  a: Float64Array,
  n: number,
  d: Float64Array,
  e: Float64Array,
  q: Float64Array | undefined,
): void {
  const v = new Float64Array(n), p = new Float64Array(n), scales = new Float64Array(n);
  for (let k = 0; k < n - 2; k++) {
    let top = 0;
    for (let i = k + 2; i < n; i++) top = Math.max(top, Math.abs(a[i * n + k]));
    scales[k] = 0;
    e[k] = a[(k + 1) * n + k];
    if (top === 0) continue;
    const alpha = a[(k + 1) * n + k];
    top = Math.max(top, Math.abs(alpha));
    let sum = 0;
    for (let i = k + 1; i < n; i++) sum += (a[i * n + k] / top) ** 2;
    const norm = top * Math.sqrt(sum), beta = alpha > 0 ? -norm : norm;
    const tau = scales[k] = (beta - alpha) / beta;
    e[k] = beta;
    v[k + 1] = 1;
    for (let i = k + 2; i < n; i++) v[i] = a[i * n + k] /= alpha - beta;
    // The trailing block becomes A - v w' - w v' with w = p - (tau / 2) (p'v) v and p = tau A v.
    p.fill(0, k + 1);
    for (let i = k + 1; i < n; i++) {
      for (let j = k + 1; j < i; j++) {
        p[i] += a[i * n + j] * v[j];
        p[j] += a[i * n + j] * v[i];
      }
      p[i] += a[i * n + i] * v[i];
    }
    let dot = 0;
    for (let i = k + 1; i < n; i++) dot += (p[i] *= tau) * v[i];
    const half = tau * dot / 2;
    for (let i = k + 1; i < n; i++) p[i] -= half * v[i];
    for (let i = k + 1; i < n; i++) {
      for (let j = k + 1; j <= i; j++) a[i * n + j] -= v[i] * p[j] + p[i] * v[j];
    }
  }
  if (n > 1) e[n - 2] = a[(n - 1) * n + n - 2];
  for (let i = 0; i < n; i++) d[i] = a[i * n + i];
  if (q === undefined) return;
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  for (let k = n - 3; k >= 0; k--) {
    if (scales[k] === 0) continue;
    for (let c = k + 1; c < n; c++) {
      let dot = q[(k + 1) * n + c];
      for (let i = k + 2; i < n; i++) dot += a[i * n + k] * q[i * n + c];
      dot *= scales[k];
      q[(k + 1) * n + c] -= dot;
      for (let i = k + 2; i < n; i++) q[i * n + c] -= dot * a[i * n + k];
    }
  }
}

/**
 * Diagonalises a tridiagonal matrix in place; `vt` holds vectors as rows and takes part in every rotation. False when it does not converge.
 * One step: Golub and Van Loan, algorithm 8.3.2, with Wilkinson's shift.
 */
function implicitSteps(
  d: Float64Array,
  e: Float64Array,
  n: number,
  vt: Float64Array | undefined,
): boolean {
  let high = n - 1, steps = 0;
  while (high > 0) {
    for (let i = 0; i < high; i++) {
      if (Math.abs(e[i]) <= 1.2e-16 * (Math.abs(d[i]) + Math.abs(d[i + 1]))) e[i] = 0;
    }
    if (e[high - 1] === 0) {
      high--;
      steps = 0;
      continue;
    }
    if (++steps > 60) return false;
    let low = high - 1;
    while (low > 0 && e[low - 1] !== 0) low--;
    const half = (d[high - 1] - d[high]) / 2, last = e[high - 1];
    const root = Math.hypot(half, last);
    const shift = d[high] - last * (last / (half + (half >= 0 ? root : -root)));
    let x = d[low] - shift, z = e[low];
    for (let k = low; k < high; k++) {
      const r = Math.hypot(x, z), c = r === 0 ? 1 : x / r, s = r === 0 ? 0 : z / r;
      if (k > low) e[k - 1] = r;
      const p = d[k], q = d[k + 1], off = e[k];
      d[k] = c * c * p + 2 * c * s * off + s * s * q;
      d[k + 1] = s * s * p - 2 * c * s * off + c * c * q;
      e[k] = c * s * (q - p) + (c * c - s * s) * off;
      x = e[k];
      if (k < high - 1) {
        z = s * e[k + 1];
        e[k + 1] *= c;
      }
      if (vt === undefined) continue;
      for (let i = 0; i < n; i++) {
        const a = vt[k * n + i], b = vt[(k + 1) * n + i];
        vt[k * n + i] = c * a + s * b;
        vt[(k + 1) * n + i] = c * b - s * a;
      }
    }
  }
  return true;
}

/** `[a, out]`: see `RoutineParams.symmetricEigen`. */
export function symmetricEigen(
  { upper, vectors }: RoutineParams["symmetricEigen"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (x, index, n) => {
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        if (upper) x[i * n + j] = x[j * n + i];
        if (!Number.isFinite(x[i * n + j])) {
          throw new RangeError(
            `Cannot find the eigenvalues of ${named(a, index)}: it holds NaN or infinity`,
          );
        }
      }
    }
    const d = new Float64Array(n), e = new Float64Array(n);
    const q = vectors ? new Float64Array(n * n) : undefined;
    tridiagonal(x, n, d, e, q);
    const vt = q?.map((_, i) => q[(i % n) * n + Math.floor(i / n)]);
    if (!implicitSteps(d, e, n, vt)) {
      throw new RangeError(`Cannot find the eigenvalues of ${named(a, index)}: no convergence`);
    }
    const order = Array.from(d.keys()).sort((i, j) => d[i] - d[j]);
    const at = index * (vectors ? n + n * n : n);
    order.forEach((from, to) => {
      out.data[at + to] = d[from];
      if (vt === undefined) return;
      for (let i = 0; i < n; i++) out.data[at + n + i * n + to] = vt[from * n + i];
    });
  });
}
