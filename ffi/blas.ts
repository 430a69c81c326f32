/** CBLAS matrix products of the system: OpenBLAS, MKL or Accelerate. */
import { type LibrarySpec, openLibrary } from "./library.ts";

// cblas.h: the values of CBLAS_ORDER and CBLAS_TRANSPOSE.
const ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112;

const symbols = {
  cblas_sgemm: {
    parameters: [
      "i32", // order
      "i32", // transA
      "i32", // transB
      "i32", // M
      "i32", // N
      "i32", // K
      "f32", // alpha
      "pointer", // A
      "i32", // lda
      "pointer", // B
      "i32", // ldb
      "f32", // beta
      "pointer", // C
      "i32", // ldc
    ],
    result: "void",
  },
  cblas_dgemm: {
    parameters: [
      "i32", // order
      "i32", // transA
      "i32", // transB
      "i32", // M
      "i32", // N
      "i32", // K
      "f64", // alpha
      "pointer", // A
      "i32", // lda
      "pointer", // B
      "i32", // ldb
      "f64", // beta
      "pointer", // C
      "i32", // ldc
    ],
    result: "void",
  },
  openblas_set_num_threads: { parameters: ["i32"], result: "void", optional: true },
  MKL_Set_Num_Threads: { parameters: ["i32"], result: "void", optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

const spec: LibrarySpec<typeof symbols> = {
  name: "BLAS",
  variable: "PTA_BLAS",
  symbols,
  // The reference libblas is left out: it is slower than the embedded kernels.
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

/** One operand of a product: where it lies, whether it is stored transposed, and its leading dimension in elements. */
export interface BlasOperand {
  /** First element. */
  readonly pointer: Deno.PointerObject;
  /** Whether rows and columns are swapped in memory. */
  readonly transposed: boolean;
  /** Elements from one stored row to the next. */
  readonly leading: number;
}

/** `C = A @ B`, plus `C` when `accumulate`; `A` is `[m, k]`, `B` `[k, n]`, `C` `[m, n]` and not transposed. */
export interface BlasProduct {
  /** Dtype of all three matrices. */
  readonly dtype: "float32" | "float64";
  /** Rows of the result. */
  readonly m: number;
  /** Columns of the result. */
  readonly n: number;
  /** Length of the sums. */
  readonly k: number;
  /** `[m, k]`. */
  readonly a: BlasOperand;
  /** `[k, n]`. */
  readonly b: BlasOperand;
  /** `[m, n]`, the result. */
  readonly c: Omit<BlasOperand, "transposed">;
  /** Whether the product is added to what is there. */
  readonly accumulate: boolean;
}

/** An open BLAS. */
export interface Blas {
  /** The library that was opened. */
  readonly path: string;
  /** A call with all arguments bound. */
  prepare(product: BlasProduct): () => void;
  /** Sets the threads of the library; does nothing where it has no such call. */
  setThreads(threads: number): void;
}

/**
 * Opens the system's BLAS.
 *
 * @param path The only path to try
 * @throws {Error} When there is none, or FFI is not permitted
 */
export function openBlas(path?: string): Blas {
  const library = openLibrary(spec, path);
  const s = library.symbols;
  // Set once a call so that its arguments are constants of the closure; a pointer object costs 20 ns to pass and 300 to make.
  const prepare = ({ dtype, m, n, k, a, b, c, accumulate }: BlasProduct): () => void => {
    const gemm = dtype === "float32" ? s.cblas_sgemm : s.cblas_dgemm;
    const [ta, tb] = [a, b].map((x) => x.transposed ? TRANS : NO_TRANS);
    const [pa, lda, pb, ldb, pc, ldc] = [
      a.pointer,
      a.leading,
      b.pointer,
      b.leading,
      c.pointer,
      c.leading,
    ];
    const beta = accumulate ? 1 : 0;
    return () => gemm(ROW_MAJOR, ta, tb, m, n, k, 1, pa, lda, pb, ldb, beta, pc, ldc);
  };
  const setThreads = (threads: number) => {
    s.openblas_set_num_threads?.(threads);
    s.MKL_Set_Num_Threads?.(threads);
  };
  return { path: library.path, prepare, setThreads };
}
