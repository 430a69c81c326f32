/** The matrix exponential and cofactors by plain loops in float64. */
import type { RoutineParams } from "../../device.ts";
import { eachMatrix, luInPlace, named } from "./factor.ts";
import type { PlainOperand } from "./mod.ts";

/** `a b` of `[n, n]` matrices. */
function product(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const c = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      const f = a[i * n + k];
      if (f === 0) continue;
      for (let j = 0; j < n; j++) c[i * n + j] += f * b[k * n + j];
    }
  }
  return c;
}

/** Overwrites `b`, `[n, n]`, with `a^-1 b`; `a` is overwritten too. */
function solveInPlace(a: Float64Array, b: Float64Array, n: number): void {
  const pivots = new Int32Array(n);
  luInPlace(a, n, n, pivots, true);
  pivots.forEach((pivot, i) => {
    for (let c = 0; c < n; c++) {
      const t = b[i * n + c];
      b[i * n + c] = b[(pivot - 1) * n + c];
      b[(pivot - 1) * n + c] = t;
    }
  });
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) {
      for (let c = 0; c < n; c++) b[i * n + c] -= a[i * n + k] * b[k * n + c];
    }
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) {
      for (let c = 0; c < n; c++) b[i * n + c] -= a[i * n + k] * b[k * n + c];
    }
    for (let c = 0; c < n; c++) b[i * n + c] /= a[i * n + i];
  }
}

/** Coefficients of the diagonal Pade approximant of order 13, and the 1-norm up to which it is exact in float64. */
const PADE = [
  64764752532480000,
  32382376266240000,
  7771770303897600,
  1187353796428800,
  129060195264000,
  10559470521600,
  670442572800,
  33522128640,
  1323241920,
  40840800,
  960960,
  16380,
  182,
  1,
];
const PADE_RADIUS = 5.371920351148152;

/** `exp(a)` by scaling, a Pade approximant and squaring (Higham, "The scaling and squaring method for the matrix exponential revisited", 2005). */
function exponential(a: Float64Array, n: number): Float64Array {
  let norm = 0;
  for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += Math.abs(a[i * n + j]);
    norm = Math.max(norm, sum);
  }
  const squarings = norm > PADE_RADIUS ? Math.ceil(Math.log2(norm / PADE_RADIUS)) : 0;
  const x = a.map((v) => v * 2 ** -squarings);
  const x2 = product(x, x, n), x4 = product(x2, x2, n), x6 = product(x4, x2, n);
  /** `c0 I + c2 x2 + c4 x4 + c6 x6` with every second coefficient from `from`. */
  const even = (from: number, constant: boolean) =>
    x.map((_, i) =>
      (constant && i % (n + 1) === 0 ? PADE[from] : 0) + PADE[from + 2] * x2[i] +
      PADE[from + 4] * x4[i] + PADE[from + 6] * x6[i]
    );
  // The upper half, orders 8 to 13, has no constant: its terms are x6 times orders 2 to 7.
  const highOdd = product(x6, even(7, false), n), highEven = product(x6, even(6, false), n);
  const u = product(x, even(1, true).map((v, i) => v + highOdd[i]), n);
  const v = even(0, true).map((w, i) => w + highEven[i]);
  let r: Float64Array = v.map((w, i) => w + u[i]);
  solveInPlace(v.map((w, i) => w - u[i]), r, n);
  for (let i = 0; i < squarings; i++) r = product(r, r, n);
  return r;
}

/** `[a, out]`: see `RoutineParams.matrixExp`. */
export function matrixExp(
  _: RoutineParams["matrixExp"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (x, index, n) => {
    if (!x.every(Number.isFinite)) {
      throw new RangeError(
        `Cannot take the exponential of ${named(a, index)}: it holds NaN or infinity`,
      );
    }
    const r = exponential(x, n);
    for (let i = 0; i < r.length; i++) out.data[index * n * n + i] = r[i];
  });
}

/**
 * Cofactors of one matrix, also of a singular one: complete pivoting gives `P a Q = L U` with the small pivots last, and the cofactors of a
 * product are the product of cofactors.
 */
function cofactors(a: Float64Array, n: number): Float64Array {
  const rows = Array.from({ length: n }, (_, i) => i), columns = [...rows];
  const at = (i: number, j: number) => rows[i] * n + columns[j];
  let sign = 1;
  const swap = (list: number[], i: number, j: number) => {
    if (i === j) return;
    [list[i], list[j]] = [list[j], list[i]];
    sign = -sign;
  };
  for (let k = 0; k < n; k++) {
    let r = k, c = k;
    for (let i = k; i < n; i++) {
      for (let j = k; j < n; j++) {
        if (Math.abs(a[at(i, j)]) > Math.abs(a[at(r, c)])) [r, c] = [i, j];
      }
    }
    swap(rows, k, r);
    swap(columns, k, c);
    const d = a[at(k, k)];
    for (let i = k + 1; i < n && d !== 0; i++) {
      const f = a[at(i, k)] /= d;
      for (let j = k + 1; j < n; j++) a[at(i, j)] -= f * a[at(k, j)];
    }
  }
  // Columns of the adjugate of U, without dividing by the last pivot: everything is scaled by the product of the others.
  const last = n - 1, pivot = a[at(last, last)];
  let others = sign;
  for (let i = 0; i < last; i++) others *= a[at(i, i)];
  const out = new Float64Array(n * n), y = new Float64Array(n);
  for (let c = 0; c < n; c++) {
    // L y = e_c, then U x = y with y scaled by the determinant.
    for (let i = 0; i < n; i++) {
      y[i] = i === c ? 1 : 0;
      for (let k = 0; k < i; k++) y[i] -= a[at(i, k)] * y[k];
    }
    for (let i = last; i >= 0; i--) {
      let sum = y[i] * (i === last ? others : others * pivot);
      for (let k = i + 1; k < n; k++) sum -= a[at(i, k)] * y[k];
      y[i] = i === last ? sum : others === 0 ? 0 : sum / a[at(i, i)];
    }
    for (let i = 0; i < n; i++) out[rows[c] * n + columns[i]] = y[i];
  }
  return out;
}

/** `[a, out]`: see `RoutineParams.cofactors`. */
export function cofactor(
  _: RoutineParams["cofactor"],
  [a, out]: readonly PlainOperand[],
): void {
  eachMatrix(a, (x, index, n) => {
    const c = cofactors(x, n);
    for (let i = 0; i < c.length; i++) out.data[index * n * n + i] = c[i];
  });
}
