/** Triangular factors of matrices, and what is solved with them, by plain loops in float64. */
import type { RoutineParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** Calls `run` with a float64 copy of every matrix of a batch. */
export function eachMatrix(
  a: PlainOperand,
  run: (matrix: Float64Array, index: number, rows: number, columns: number) => void,
): void {
  const [m, n] = a.shape.slice(-2), size = m * n;
  const work = new Float64Array(size);
  for (let at = 0, index = 0; at < a.data.length; at += size, index++) {
    for (let i = 0; i < size; i++) work[i] = a.data[at + i];
    run(work, index, m, n);
  }
}

/** `matrix [1, 0] of the batch`, or `the matrix` where there is no batch. */
export function named(a: PlainOperand, index: number): string {
  const batch = a.shape.slice(0, -2), at: number[] = [];
  if (batch.length === 0) return "the matrix";
  for (let rest = index, d = batch.length - 1; d >= 0; d--) {
    at.unshift(rest % batch[d]);
    rest = Math.floor(rest / batch[d]);
  }
  return `matrix [${at.join(", ")}] of the batch`;
}

/** Overwrites the lower triangle with its Cholesky factor; the 1-based order of the first minor that is not positive, else 0. */
function choleskyInPlace(l: Float64Array, n: number): number {
  for (let j = 0; j < n; j++) {
    let d = l[j * n + j];
    for (let k = 0; k < j; k++) d -= l[j * n + k] * l[j * n + k];
    if (!(d > 0)) return j + 1;
    const root = l[j * n + j] = Math.sqrt(d);
    for (let i = j + 1; i < n; i++) {
      let sum = l[i * n + j];
      for (let k = 0; k < j; k++) sum -= l[i * n + k] * l[j * n + k];
      l[i * n + j] = sum / root;
    }
  }
  return 0;
}

/** `[a, out]`: see `RoutineParams.cholesky`. */
export function cholesky(
  { action }: RoutineParams["cholesky"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (l, index, n) => {
    const info = choleskyInPlace(l, n), at = index * (n * n + 1);
    if (info > 0 && action !== "") {
      throw new RangeError(
        `Cannot ${action} ${named(a, index)}: it is not positive definite (minor ${info})`,
      );
    }
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) out.data[at + i * n + j] = j <= i ? l[i * n + j] : 0;
    }
    out.data[at + n * n] = info;
  });
}

/** Overwrites a matrix with L below and U on and above the diagonal. Sets 1-based pivots; the first zero pivot (1-based), else 0. */
export function luInPlace(
  x: Float64Array,
  m: number,
  n: number,
  pivots: Int32Array,
  pivot: boolean,
): number {
  let info = 0;
  for (let j = 0; j < Math.min(m, n); j++) {
    let best = j;
    if (pivot) {
      for (let i = j + 1; i < m; i++) {
        if (Math.abs(x[i * n + j]) > Math.abs(x[best * n + j])) best = i;
      }
    }
    pivots[j] = best + 1;
    if (best !== j) {
      for (let c = 0; c < n; c++) {
        const t = x[j * n + c];
        x[j * n + c] = x[best * n + c];
        x[best * n + c] = t;
      }
    }
    const d = x[j * n + j];
    if (d === 0) {
      info ||= j + 1;
      // Nothing below to eliminate, where pivots were searched for.
      if (pivot) continue;
    }
    for (let i = j + 1; i < m; i++) {
      const f = x[i * n + j] /= d;
      if (f === 0) continue;
      for (let c = j + 1; c < n; c++) x[i * n + c] -= f * x[j * n + c];
    }
  }
  return info;
}

/** `[a, out]`: see `RoutineParams.lu`. */
export function lu(
  { pivot, action }: RoutineParams["lu"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (x, index, m, n) => {
    const k = Math.min(m, n), pivots = new Int32Array(k);
    const info = luInPlace(x, m, n, pivots, pivot), at = index * (m * n + k + 1);
    if (info > 0 && action !== "") {
      throw new RangeError(
        `Cannot ${action} ${named(a, index)}: it is singular (pivot ${info} is 0)`,
      );
    }
    for (let i = 0; i < m * n; i++) out.data[at + i] = x[i];
    for (let i = 0; i < k; i++) out.data[at + m * n + i] = pivots[i];
    out.data[at + m * n + k] = info;
  });
}

/** `[pivots, out]`: see `RoutineParams.pivotOrder`. */
export function pivotOrder(
  _: RoutineParams["pivotOrder"],
  [pivots, out]: readonly PlainOperand[],
): void {
  const k = pivots.shape[pivots.shape.length - 1], m = out.shape[out.shape.length - 1];
  for (let p = 0, o = 0; o < out.data.length; p += k, o += m) {
    for (let i = 0; i < m; i++) out.data[o + i] = i;
    for (let i = 0; i < k; i++) {
      const j = pivots.data[p + i] - 1;
      if (!(j >= 0 && j < m)) {
        throw new RangeError(`Cannot exchange rows by pivot ${j + 1}: it must lie in 1 to ${m}`);
      }
      const t = out.data[o + i];
      out.data[o + i] = out.data[o + j];
      out.data[o + j] = t;
    }
  }
}

/** `[a, b, out]`: see `RoutineParams.triangularSolve`. */
export function triangularSolve(
  { upper, transpose, unit }: RoutineParams["triangularSolve"],
  [a, b, out]: readonly PlainOperand[],
): void {
  const [n, columns] = b.shape.slice(-2), size = n * columns;
  const x = new Float64Array(size);
  // The transpose of a lower triangle is solved as an upper one, and the other way round.
  const backward = upper !== transpose;
  eachMatrix(a, (t, index) => {
    const at = index * size;
    for (let i = 0; i < size; i++) x[i] = b.data[at + i];
    for (let step = 0; step < n; step++) {
      const i = backward ? n - 1 - step : step;
      for (let other = 0; other < step; other++) {
        const k = backward ? n - 1 - other : other;
        const f = transpose ? t[k * n + i] : t[i * n + k];
        if (f === 0) continue;
        for (let c = 0; c < columns; c++) x[i * columns + c] -= f * x[k * columns + c];
      }
      if (unit) continue;
      const d = t[i * n + i];
      for (let c = 0; c < columns; c++) x[i * columns + c] /= d;
    }
    for (let i = 0; i < size; i++) out.data[at + i] = x[i];
  });
}
