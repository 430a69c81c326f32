/** Factorisations of the system's LAPACK in float64: OpenBLAS, MKL or Accelerate. Matrices are column-major. */
import { type LibrarySpec, openLibrary } from "./library.ts";

// Fortran: everything by reference; the lengths of character arguments follow at the end.
const symbols = {
  dpotrf_: {
    parameters: [
      "buffer", // uplo
      "buffer", // n
      "buffer", // a
      "buffer", // lda
      "buffer", // info
      "usize", // length of uplo
    ],
    result: "void",
  },
  dgetrf_: {
    parameters: [
      "buffer", // m
      "buffer", // n
      "buffer", // a
      "buffer", // lda
      "buffer", // ipiv
      "buffer", // info
    ],
    result: "void",
  },
  dgeqrf_: {
    parameters: [
      "buffer", // m
      "buffer", // n
      "buffer", // a
      "buffer", // lda
      "buffer", // tau
      "buffer", // work
      "buffer", // lwork
      "buffer", // info
    ],
    result: "void",
  },
  dorgqr_: {
    parameters: [
      "buffer", // m
      "buffer", // n
      "buffer", // k
      "buffer", // a
      "buffer", // lda
      "buffer", // tau
      "buffer", // work
      "buffer", // lwork
      "buffer", // info
    ],
    result: "void",
  },
  dsyevd_: {
    parameters: [
      "buffer", // jobz
      "buffer", // uplo
      "buffer", // n
      "buffer", // a
      "buffer", // lda
      "buffer", // w
      "buffer", // work
      "buffer", // lwork
      "buffer", // iwork
      "buffer", // liwork
      "buffer", // info
      "usize", // length of jobz
      "usize", // length of uplo
    ],
    result: "void",
  },
  dgesdd_: {
    parameters: [
      "buffer", // jobz
      "buffer", // m
      "buffer", // n
      "buffer", // a
      "buffer", // lda
      "buffer", // s
      "buffer", // u
      "buffer", // ldu
      "buffer", // vt
      "buffer", // ldvt
      "buffer", // work
      "buffer", // lwork
      "buffer", // iwork
      "buffer", // info
      "usize", // length of jobz
    ],
    result: "void",
  },
  dtrsm_: {
    parameters: [
      "buffer", // side
      "buffer", // uplo
      "buffer", // transa
      "buffer", // diag
      "buffer", // m
      "buffer", // n
      "buffer", // alpha
      "buffer", // a
      "buffer", // lda
      "buffer", // b
      "buffer", // ldb
      "usize", // length of side
      "usize", // length of uplo
      "usize", // length of transa
      "usize", // length of diag
    ],
    result: "void",
  },
} as const satisfies Deno.ForeignLibraryInterface;

const spec: LibrarySpec<typeof symbols> = {
  name: "LAPACK",
  variable: "PTA_BLAS",
  symbols,
  candidates: {
    linux: [
      "libopenblas.so.0",
      "libopenblas.so",
      `/usr/lib/${Deno.build.arch}-linux-gnu/openblas-pthread/libopenblas.so.0`,
      "libmkl_rt.so.2",
      "libmkl_rt.so",
    ],
    darwin: [
      "/System/Library/Frameworks/Accelerate.framework/Accelerate",
      "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
      "/usr/local/opt/openblas/lib/libopenblas.dylib",
    ],
    windows: ["libopenblas.dll", "openblas.dll", "mkl_rt.2.dll"],
  },
};

/** A float64 matrix or vector in memory of the caller. */
export type Reals = Float64Array<ArrayBuffer>;

/** An open LAPACK. Results replace the operands; what is returned is LAPACK's `info`: 0 when all went well. */
export interface Lapack {
  /** The library that was opened. */
  readonly path: string;
  /** Cholesky factor of the `uplo` triangle of `[n, n]`. */
  potrf(uplo: "U" | "L", n: number, a: Reals): number;
  /** LU factors of `[m, n]` and min(m, n) row exchanges, counted from 1. */
  getrf(m: number, n: number, a: Reals, pivots: Int32Array<ArrayBuffer>): number;
  /** R and reflectors of `[m, n]` and their scales. */
  geqrf(m: number, n: number, a: Reals, tau: Reals): number;
  /** The first `n` columns of the product of the `k` reflectors in `a`, `[m, n]`. */
  orgqr(m: number, n: number, k: number, a: Reals, tau: Reals): number;
  /** Ascending eigenvalues `w` of the `uplo` triangle of `[n, n]`; with `vectors` they replace `a`. */
  syevd(vectors: boolean, uplo: "U" | "L", n: number, a: Reals, w: Reals): number;
  /**
   * Descending singular values `s` of `[m, n]`; `u` and `vt` all vectors (`A`), the first min(m, n) (`S`) or none (`N`).
   */
  gesdd(job: "A" | "S" | "N", m: number, n: number, a: Reals, out: SingularResult): number;
  /** Solves `x op(a) = b` for a triangle of `a`, `[n, n]`, and `b`, `[m, n]`, which `x` replaces. */
  trsmRight(triangle: Triangle, m: number, n: number, a: Reals, b: Reals): void;
}

/** Where singular values and vectors go. */
export interface SingularResult {
  /** `[min(m, n)]`. */
  readonly s: Reals;
  /** `[m, m or min(m, n)]`, or empty. */
  readonly u: Reals;
  /** `[n or min(m, n), n]`, or empty. */
  readonly vt: Reals;
}

/** Which triangle, whether its transpose is meant, and whether its diagonal is taken as 1. */
export interface Triangle {
  /** `U` or `L`. */
  readonly uplo: "U" | "L";
  /** Whether `op` transposes. */
  readonly transpose: boolean;
  /** Whether the diagonal is 1. */
  readonly unit: boolean;
}

const int = (x: number): Int32Array<ArrayBuffer> => Int32Array.of(x);
const char = (x: string): Uint8Array<ArrayBuffer> => Uint8Array.of(x.charCodeAt(0));
const one = 1n;

/** Calls once for the size of the work area and once for the result. */
function withWork(call: (work: Reals, length: Int32Array<ArrayBuffer>) => void): void {
  const asked = new Float64Array(1);
  call(asked, int(-1));
  const length = Math.max(1, Math.ceil(asked[0]));
  call(new Float64Array(length), int(length));
}

/**
 * Opens the system's LAPACK, which the usual BLAS libraries contain.
 *
 * @param path The only path to try
 * @throws {Error} When there is none, or FFI is not permitted
 */
export function openLapack(path?: string): Lapack {
  const library = openLibrary(spec, path), f = library.symbols;
  return {
    path: library.path,
    potrf(uplo, n, a) {
      const info = int(0);
      f.dpotrf_(char(uplo), int(n), a, int(Math.max(1, n)), info, one);
      return info[0];
    },
    getrf(m, n, a, pivots) {
      const info = int(0);
      f.dgetrf_(int(m), int(n), a, int(Math.max(1, m)), pivots, info);
      return info[0];
    },
    geqrf(m, n, a, tau) {
      const info = int(0), rows = int(Math.max(1, m));
      withWork((work, length) => f.dgeqrf_(int(m), int(n), a, rows, tau, work, length, info));
      return info[0];
    },
    orgqr(m, n, k, a, tau) {
      const info = int(0), rows = int(Math.max(1, m));
      withWork((work, length) =>
        f.dorgqr_(int(m), int(n), int(k), a, rows, tau, work, length, info)
      );
      return info[0];
    },
    syevd(vectors, uplo, n, a, w) {
      const info = int(0), job = char(vectors ? "V" : "N"), rows = int(Math.max(1, n));
      const count = vectors ? 3 + 5 * n : 1;
      const places = new Int32Array(count);
      withWork((work, length) => {
        f.dsyevd_(
          job,
          char(uplo),
          int(n),
          a,
          rows,
          w,
          work,
          length,
          places,
          int(length[0] < 0 ? -1 : count),
          info,
          one,
          one,
        );
      });
      return info[0];
    },
    gesdd(job, m, n, a, { s, u, vt }) {
      const info = int(0), k = Math.min(m, n), places = new Int32Array(8 * k);
      const rows = int(Math.max(1, m)), columns = int(Math.max(1, job === "A" ? n : k));
      withWork((work, length) => {
        f.dgesdd_(
          char(job),
          int(m),
          int(n),
          a,
          rows,
          s,
          u,
          rows,
          vt,
          columns,
          work,
          length,
          places,
          info,
          one,
        );
      });
      return info[0];
    },
    trsmRight({ uplo, transpose, unit }, m, n, a, b) {
      f.dtrsm_(
        char("R"),
        char(uplo),
        char(transpose ? "T" : "N"),
        char(unit ? "U" : "N"),
        int(m),
        int(n),
        Float64Array.of(1),
        a,
        int(Math.max(1, n)),
        b,
        int(Math.max(1, m)),
        one,
        one,
        one,
        one,
      );
    },
  };
}
