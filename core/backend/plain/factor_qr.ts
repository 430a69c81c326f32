/** Orthogonal factors by Householder reflectors, in LAPACK's form, by plain loops in float64. */
import type { RoutineParams } from "../../device.ts";
import { eachMatrix } from "./factor.ts";
import type { PlainOperand } from "./mod.ts";

/**
 * Overwrites a matrix with R on and above the diagonal and the reflectors `v` (whose first element, 1, is not stored) below; sets `tau`. A
 * reflector is `I - tau v v'`. A column that is zero below the diagonal is left as it is, so R may have diagonal elements of either sign (LAPACK's
 * `dlarfg`).
 */
export function householderInPlace(
  x: Float64Array,
  m: number,
  n: number,
  tau: Float64Array,
): void {
  for (let j = 0; j < Math.min(m, n); j++) {
    let top = 0;
    for (let i = j + 1; i < m; i++) top = Math.max(top, Math.abs(x[i * n + j]));
    tau[j] = 0;
    if (top === 0) continue;
    const alpha = x[j * n + j];
    top = Math.max(top, Math.abs(alpha));
    // Scaled, so that squares neither overflow nor vanish.
    let sum = 0;
    for (let i = j; i < m; i++) sum += (x[i * n + j] / top) ** 2;
    const norm = top * Math.sqrt(sum), beta = alpha > 0 ? -norm : norm;
    const t = tau[j] = (beta - alpha) / beta;
    for (let i = j + 1; i < m; i++) x[i * n + j] /= alpha - beta;
    x[j * n + j] = beta;
    for (let c = j + 1; c < n; c++) {
      let dot = x[j * n + c];
      for (let i = j + 1; i < m; i++) dot += x[i * n + j] * x[i * n + c];
      dot *= t;
      x[j * n + c] -= dot;
      for (let i = j + 1; i < m; i++) x[i * n + c] -= dot * x[i * n + j];
    }
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
    for (let c = 0; c < columns; c++) {
      let dot = q[j * columns + c];
      for (let i = j + 1; i < m; i++) dot += x[i * n + j] * q[i * columns + c];
      dot *= tau[j];
      q[j * columns + c] -= dot;
      for (let i = j + 1; i < m; i++) q[i * columns + c] -= dot * x[i * n + j];
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
