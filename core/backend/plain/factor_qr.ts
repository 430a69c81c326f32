/** Orthogonal factors by Householder reflectors, in LAPACK's form, by plain loops in float64. */
import type { RoutineParams } from "../../device.ts";
import { eachMatrix } from "./factor.ts";
import type { PlainOperand } from "./mod.ts";

/**
 * Makes the reflector that leaves the first of `length` elements, `step` apart from `at`, and none of the others. The vector `v` but for its first
 * element, 1, takes their place. Returns `tau`: the reflector is `I - tau v v'`. Where all others are 0 already it is the identity, so the first
 * element may keep either sign (LAPACK's `dlarfg`).
 */
function makeReflector(x: Float64Array, at: number, step: number, length: number): number {
  let top = 0;
  for (let i = 1; i < length; i++) top = Math.max(top, Math.abs(x[at + i * step]));
  if (top === 0) return 0;
  const alpha = x[at];
  top = Math.max(top, Math.abs(alpha));
  // Scaled, so that squares neither overflow nor vanish.
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (x[at + i * step] / top) ** 2;
  const norm = top * Math.sqrt(sum), beta = alpha > 0 ? -norm : norm;
  for (let i = 1; i < length; i++) x[at + i * step] /= alpha - beta;
  x[at] = beta;
  return (beta - alpha) / beta;
}

/** Eliminates what lies below the diagonal in column `j` of `[m, n]` and reflects the columns after it. Returns `tau`. */
function reflectColumn(x: Float64Array, m: number, n: number, j: number): number {
  const tau = makeReflector(x, j * n + j, n, m - j);
  if (tau === 0) return tau;
  // Row by row, as memory lies.
  const dots = x.slice(j * n, j * n + n);
  for (let i = j + 1; i < m; i++) {
    const f = x[i * n + j];
    for (let c = j + 1; c < n; c++) dots[c] += f * x[i * n + c];
  }
  for (let c = j + 1; c < n; c++) x[j * n + c] -= dots[c] *= tau;
  for (let i = j + 1; i < m; i++) {
    const f = x[i * n + j];
    for (let c = j + 1; c < n; c++) x[i * n + c] -= f * dots[c];
  }
  return tau;
}

/** Eliminates what lies beyond the superdiagonal in row `j` and reflects the rows after it. */
function reflectRow(x: Float64Array, m: number, n: number, j: number): void {
  if (j + 1 >= n) return;
  const tau = makeReflector(x, j * n + j + 1, 1, n - j - 1);
  for (let i = j + 1; i < m && tau !== 0; i++) {
    let dot = x[i * n + j + 1];
    for (let c = j + 2; c < n; c++) dot += x[j * n + c] * x[i * n + c];
    dot *= tau;
    x[i * n + j + 1] -= dot;
    for (let c = j + 2; c < n; c++) x[i * n + c] -= dot * x[j * n + c];
  }
}

/** Overwrites a matrix with R on and above the diagonal and the reflectors below; sets `tau`. */
export function householderInPlace(x: Float64Array, m: number, n: number, tau: Float64Array): void {
  for (let j = 0; j < Math.min(m, n); j++) tau[j] = reflectColumn(x, m, n, j);
}

/** Overwrites a tall matrix with its bidiagonal form; the reflectors of columns lie below the diagonal, `tau` holds their scales. */
export function bidiagonalInPlace(x: Float64Array, m: number, n: number, tau: Float64Array): void {
  for (let j = 0; j < n; j++) {
    tau[j] = reflectColumn(x, m, n, j);
    reflectRow(x, m, n, j);
  }
}

/** Multiplies `q`, `[m, columns]`, in place by the first `count` reflectors of `x`, `[m, n]`, the last one first. */
export function applyReflectors(
  x: Float64Array,
  tau: ArrayLike<number>,
  q: Float64Array,
  sizes: { m: number; n: number; count: number; columns: number },
): void {
  const { m, n, count, columns } = sizes;
  for (let j = count - 1; j >= 0; j--) {
    if (tau[j] === 0) continue;
    const dots = q.slice(j * columns, (j + 1) * columns);
    for (let i = j + 1; i < m; i++) {
      const f = x[i * n + j];
      for (let c = 0; c < columns; c++) dots[c] += f * q[i * columns + c];
    }
    for (let c = 0; c < columns; c++) q[j * columns + c] -= dots[c] *= tau[j];
    for (let i = j + 1; i < m; i++) {
      const f = x[i * n + j];
      for (let c = 0; c < columns; c++) q[i * columns + c] -= f * dots[c];
    }
  }
}

/** `[a, out]`: see `RoutineParams.householder`. */
export function householder(
  _: RoutineParams["householder"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (x, index, m, n) => {
    const k = Math.min(m, n), tau = new Float64Array(k), at = index * (m * n + k);
    householderInPlace(x, m, n, tau);
    for (let i = 0; i < m * n; i++) out.data[at + i] = x[i];
    for (let i = 0; i < k; i++) out.data[at + m * n + i] = tau[i];
  });
}

/** `[a, tau, out]`: see `RoutineParams.reflectors`. */
export function reflectors(
  _: RoutineParams["reflectors"],
  [a, tau, out]: readonly PlainOperand[],
): void {
  const count = tau.shape[tau.shape.length - 1], columns = out.shape[out.shape.length - 1];
  eachMatrix(a, (x, index, m, n) => {
    const q = new Float64Array(m * columns), at = index * m * columns;
    for (let i = 0; i < Math.min(m, columns); i++) q[i * columns + i] = 1;
    const scales = Array.from({ length: count }, (_, i) => tau.data[index * count + i]);
    applyReflectors(x, scales, q, { m, n, count, columns });
    for (let i = 0; i < q.length; i++) out.data[at + i] = q[i];
  });
}
