/** Factorisations by the system's LAPACK; the plain loops are their twins. */
import { ffiGranted, type Lapack, openLapack } from "@pta/ffi";
import { log } from "../../debug.ts";
import type { PlainRoutineName, RoutineParams } from "../../device.ts";
import { env } from "../../env.ts";
import type { PlainOperand } from "../plain/mod.ts";

/** Does the work and returns true, or leaves it to the plain loops, which also say what is wrong with a matrix. */
export type FastRoutine<R extends PlainRoutineName> = (
  params: RoutineParams[R],
  operands: readonly PlainOperand[],
) => boolean;

/** Routines that LAPACK has. */
export type FastRoutines = { readonly [R in PlainRoutineName]?: FastRoutine<R> };

/** Rows and columns from which a call is worth its copies. */
const LEAST = 32;

type Reals = Float64Array<ArrayBuffer>;

/** Sizes of the matrices of an operand. */
function sizes(a: PlainOperand): { m: number; n: number; count: number } {
  const [m, n] = a.shape.slice(-2);
  return { m, n, count: a.data.length / (m * n) };
}

/** One matrix as it lies: row-major, which LAPACK reads as its transpose. */
function copied(a: PlainOperand, index: number): Reals {
  const { m, n } = sizes(a), out = new Float64Array(m * n), at = index * m * n;
  for (let i = 0; i < out.length; i++) out[i] = a.data[at + i];
  return out;
}

/** `[rows, columns]` row-major to column-major, or the other way round with the sizes exchanged. */
function transposed(x: Reals, rows: number, columns: number): Reals {
  const out = new Float64Array(x.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) out[j * rows + i] = x[i * columns + j];
  }
  return out;
}

/** Writes arrays behind each other from element `at`. */
function put(out: PlainOperand, at: number, ...parts: readonly ArrayLike<number>[]): void {
  for (const part of parts) {
    for (let i = 0; i < part.length; i++) out.data[at + i] = part[i];
    at += part.length;
  }
}

const finite = (a: PlainOperand): boolean => {
  for (let i = 0; i < a.data.length; i++) if (!Number.isFinite(a.data[i])) return false;
  return true;
};

/** Every matrix in turn, until one fails. */
function each(count: number, run: (index: number) => boolean): boolean {
  for (let i = 0; i < count; i++) if (!run(i)) return false;
  return true;
}

/** The routines of LAPACK; `open` is called with the first matrix that is large enough. */
export function lapackRoutines(open: () => Lapack | undefined): FastRoutines {
  const forLarge = (a: PlainOperand) =>
    Math.min(...a.shape.slice(-2)) >= LEAST ? open() : undefined;
  return {
    cholesky: (_, [a, out]) => {
      const lapack = forLarge(a);
      const { n, count } = sizes(a);
      return lapack !== undefined && each(count, (index) => {
        const l = copied(a, index);
        // The lower triangle of rows is the upper one of columns.
        if (lapack.potrf("U", n, l) !== 0) return false;
        for (let i = 0; i < n; i++) l.fill(0, i * n + i + 1, (i + 1) * n);
        put(out, index * (n * n + 1), l, [0]);
        return true;
      });
    },
    lu: ({ pivot, action }, [a, out]) => {
      const lapack = forLarge(a);
      const { m, n, count } = sizes(a), k = Math.min(m, n);
      return pivot && lapack !== undefined && each(count, (index) => {
        const x = transposed(copied(a, index), m, n), pivots = new Int32Array(k);
        const info = lapack.getrf(m, n, x, pivots);
        if (info < 0 || (info > 0 && action !== "")) return false;
        put(out, index * (m * n + k + 1), transposed(x, n, m), pivots, [info]);
        return true;
      });
    },
    triangularSolve: ({ upper, transpose, unit }, [a, b, out]) => {
      const lapack = forLarge(a);
      const { n, count } = sizes(a), columns = b.shape[b.shape.length - 1];
      // Rows as columns: x' a' = b'. The triangle of a' is the other one.
      return lapack !== undefined && each(count, (index) => {
        const x = copied(b, index), uplo = upper ? "L" : "U";
        lapack.trsmRight({ uplo, transpose, unit }, columns, n, copied(a, index), x);
        put(out, index * n * columns, x);
        return true;
      });
    },
    householder: (_, [a, out]) => {
      const lapack = forLarge(a);
      const { m, n, count } = sizes(a), k = Math.min(m, n);
      return lapack !== undefined && finite(a) && each(count, (index) => {
        const x = transposed(copied(a, index), m, n), tau = new Float64Array(k);
        if (lapack.geqrf(m, n, x, tau) !== 0) return false;
        put(out, index * (m * n + k), transposed(x, n, m), tau);
        return true;
      });
    },
    reflectors: (_, [a, tau, out]) => {
      const lapack = forLarge(out);
      const { m, n, count } = sizes(a), k = tau.shape[tau.shape.length - 1];
      const columns = out.shape[out.shape.length - 1];
      return lapack !== undefined && columns >= k && each(count, (index) => {
        const x = new Float64Array(m * columns), from = transposed(copied(a, index), m, n);
        x.set(from.subarray(0, m * Math.min(n, columns)));
        const scales = Float64Array.from({ length: k }, (_, i) => tau.data[index * k + i]);
        if (lapack.orgqr(m, columns, k, x, scales) !== 0) return false;
        put(out, index * m * columns, transposed(x, columns, m));
        return true;
      });
    },
    symmetricEigen: ({ upper, vectors }, [a, out]) => {
      const lapack = forLarge(a);
      const { n, count } = sizes(a), step = vectors ? n + n * n : n;
      return lapack !== undefined && finite(a) && each(count, (index) => {
        const x = copied(a, index), w = new Float64Array(n);
        if (lapack.syevd(vectors, upper ? "L" : "U", n, x, w) !== 0) return false;
        put(out, index * step, w);
        if (vectors) put(out, index * step + n, transposed(x, n, n));
        return true;
      });
    },
    svd: ({ full, vectors }, [a, out]) => {
      const lapack = forLarge(a);
      const { m, n, count } = sizes(a), k = Math.min(m, n), [mu, nv] = full ? [m, n] : [k, k];
      const step = vectors ? k + m * mu + nv * n : k;
      const reals = (length: number) => new Float64Array(vectors ? length : 1);
      return lapack !== undefined && finite(a) && each(count, (index) => {
        // Of the transpose: its U, by columns, is Vh by rows, and its Vh is U.
        const s = new Float64Array(k), u = reals(nv * n), vt = reals(m * mu);
        const job = !vectors ? "N" : full ? "A" : "S";
        if (lapack.gesdd(job, n, m, copied(a, index), { s, u, vt }) !== 0) return false;
        put(out, index * step, s);
        if (vectors) put(out, index * step + k, vt, u);
        return true;
      });
    },
  };
}

/**
 * The routines of the system's LAPACK; they do nothing where there is no library or FFI is not granted.
 *
 * @param wanted `auto`, `off` or a path; `PTA_BLAS` by default
 */
export function systemLapack(wanted: string = env("PTA_BLAS") ?? "auto"): FastRoutines {
  let found: Lapack | undefined, looked = false;
  return lapackRoutines(() => {
    if (looked) return found;
    looked = true;
    if (wanted === "off" || (wanted === "auto" && !ffiGranted())) return undefined;
    try {
      found = openLapack(wanted === "auto" ? undefined : wanted);
      log(1, `factorisations by ${found.path}`);
    } catch {
      // A BLAS without LAPACK is none the worse for products.
      log(1, "factorisations by the embedded loops: no LAPACK was found");
    }
    return found;
  });
}
