/**
 * cuBLAS: symbols as cublas_v2.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { CublasError, statusName } from "./errors.ts";
import { readCString } from "./memory.ts";
import { u32, u64 } from "./scratch.ts";
import { cublasStatus_t } from "./cublas_enums.ts";

/** Symbols of cuBLAS. */
export const cublasSymbols = {
  cublasGetProperty: {
    parameters: [
      "i32", // type
      "buffer", // value
    ],
    result: "i32",
  },
  cublasGetStatusString: {
    parameters: [
      "i32", // status
    ],
    result: "pointer",
  },
  cublasCreate_v2: {
    parameters: [
      "buffer", // handle
    ],
    result: "i32",
  },
  cublasDestroy_v2: {
    parameters: [
      "u64", // handle
    ],
    result: "i32",
  },
  cublasSetStream_v2: {
    parameters: [
      "u64", // handle
      "u64", // streamId
    ],
    result: "i32",
  },
  cublasGetStream_v2: {
    parameters: [
      "u64", // handle
      "buffer", // streamId
    ],
    result: "i32",
  },
  cublasSetWorkspace_v2: {
    parameters: [
      "u64", // handle
      "u64", // workspace
      "usize", // workspaceSizeInBytes
    ],
    result: "i32",
  },
  cublasSetMathMode: {
    parameters: [
      "u64", // handle
      "i32", // mode
    ],
    result: "i32",
  },
  cublasGetMathMode: {
    parameters: [
      "u64", // handle
      "buffer", // mode
    ],
    result: "i32",
  },
  cublasSetPointerMode_v2: {
    parameters: [
      "u64", // handle
      "i32", // mode
    ],
    result: "i32",
  },
  cublasSetAtomicsMode: {
    parameters: [
      "u64", // handle
      "i32", // mode
    ],
    result: "i32",
  },
  cublasGemmEx: {
    parameters: [
      "u64", // handle
      "i32", // transa
      "i32", // transb
      "i32", // m
      "i32", // n
      "i32", // k
      "u64", // alpha
      "u64", // A
      "i32", // Atype
      "i32", // lda
      "u64", // B
      "i32", // Btype
      "i32", // ldb
      "u64", // beta
      "u64", // C
      "i32", // Ctype
      "i32", // ldc
      "i32", // computeType
      "i32", // algo
    ],
    result: "i32",
  },
  cublasGemmStridedBatchedEx: {
    parameters: [
      "u64", // handle
      "i32", // transa
      "i32", // transb
      "i32", // m
      "i32", // n
      "i32", // k
      "u64", // alpha
      "u64", // A
      "i32", // Atype
      "i32", // lda
      "i64", // strideA
      "u64", // B
      "i32", // Btype
      "i32", // ldb
      "i64", // strideB
      "u64", // beta
      "u64", // C
      "i32", // Ctype
      "i32", // ldc
      "i64", // strideC
      "i32", // batchCount
      "i32", // computeType
      "i32", // algo
    ],
    result: "i32",
  },
  cublasGemmBatchedEx: {
    parameters: [
      "u64", // handle
      "i32", // transa
      "i32", // transb
      "i32", // m
      "i32", // n
      "i32", // k
      "u64", // alpha
      "u64", // Aarray
      "i32", // Atype
      "i32", // lda
      "u64", // Barray
      "i32", // Btype
      "i32", // ldb
      "u64", // beta
      "u64", // Carray
      "i32", // Ctype
      "i32", // ldc
      "i32", // batchCount
      "i32", // computeType
      "i32", // algo
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of cuBLAS. Each raises {@linkcode CublasError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface CublasCalls {
  /** `cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value)` */
  cublasGetProperty(type: number, value: BufferSource | null): void;
  /** `const char* cublasGetStatusString(cublasStatus_t status)` */
  cublasGetStatusString(status: number): string;
  /** `cublasStatus_t cublasCreate_v2(cublasHandle_t* handle)` */
  cublasCreate(handle: BufferSource | null): void;
  /** `cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)` */
  cublasDestroy(handle: bigint): void;
  /** `cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t streamId)` */
  cublasSetStream(handle: bigint, streamId: bigint): void;
  /** `cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* streamId)` */
  cublasGetStream(handle: bigint, streamId: BufferSource | null): void;
  /** `cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t workspaceSizeInBytes)` */
  cublasSetWorkspace(handle: bigint, workspace: number, workspaceSizeInBytes: number): void;
  /** `cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)` */
  cublasSetMathMode(handle: bigint, mode: number): void;
  /** `cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode)` */
  cublasGetMathMode(handle: bigint, mode: BufferSource | null): void;
  /** `cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode)` */
  cublasSetPointerMode(handle: bigint, mode: number): void;
  /** `cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode)` */
  cublasSetAtomicsMode(handle: bigint, mode: number): void;
  /** `cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha, const void* A, cudaDataType Atype, int lda, const void* B, cudaDataType Btype, int ldb, const void* beta, void* C, cudaDataType Ctype, int ldc, cublasComputeType_t computeType, cublasGemmAlgo_t algo)` */
  cublasGemmEx(
    handle: bigint,
    transa: number,
    transb: number,
    m: number,
    n: number,
    k: number,
    alpha: bigint,
    A: number,
    Atype: number,
    lda: number,
    B: number,
    Btype: number,
    ldb: number,
    beta: bigint,
    C: number,
    Ctype: number,
    ldc: number,
    computeType: number,
    algo: number,
  ): void;
  /** `cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha, const void* A, cudaDataType Atype, int lda, long long int strideA, const void* B, cudaDataType Btype, int ldb, long long int strideB, const void* beta, void* C, cudaDataType Ctype, int ldc, long long int strideC, int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t algo)` */
  cublasGemmStridedBatchedEx(
    handle: bigint,
    transa: number,
    transb: number,
    m: number,
    n: number,
    k: number,
    alpha: bigint,
    A: number,
    Atype: number,
    lda: number,
    strideA: number,
    B: number,
    Btype: number,
    ldb: number,
    strideB: number,
    beta: bigint,
    C: number,
    Ctype: number,
    ldc: number,
    strideC: number,
    batchCount: number,
    computeType: number,
    algo: number,
  ): void;
  /** `cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha, const void* const Aarray[], cudaDataType Atype, int lda, const void* const Barray[], cudaDataType Btype, int ldb, const void* beta, void* const Carray[], cudaDataType Ctype, int ldc, int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t algo)` */
  cublasGemmBatchedEx(
    handle: bigint,
    transa: number,
    transb: number,
    m: number,
    n: number,
    k: number,
    alpha: bigint,
    Aarray: number,
    Atype: number,
    lda: number,
    Barray: number,
    Btype: number,
    ldb: number,
    beta: bigint,
    Carray: number,
    Ctype: number,
    ldc: number,
    batchCount: number,
    computeType: number,
    algo: number,
  ): void;
}

/** Makes the checked calls from an open library. */
export function bindCublas(
  symbols: Deno.DynamicLibrary<typeof cublasSymbols>["symbols"],
): CublasCalls {
  const {
    cublasGetProperty,
    cublasGetStatusString,
    cublasCreate_v2,
    cublasDestroy_v2,
    cublasSetStream_v2,
    cublasGetStream_v2,
    cublasSetWorkspace_v2,
    cublasSetMathMode,
    cublasGetMathMode,
    cublasSetPointerMode_v2,
    cublasSetAtomicsMode,
    cublasGemmEx,
    cublasGemmStridedBatchedEx,
    cublasGemmBatchedEx,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new CublasError({
      call,
      code,
      status: statusName(cublasStatus_t, "cublasStatus_t", code),
      text: readCString(cublasGetStatusString(code)),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    cublasGetProperty(type, value) {
      const code = cublasGetProperty(type, value);
      if (code !== 0) fail("cublasGetProperty", code);
    },
    cublasGetStatusString(status) {
      return readCString(cublasGetStatusString(status));
    },
    cublasCreate(handle) {
      const code = cublasCreate_v2(handle);
      if (code !== 0) fail("cublasCreate", code);
    },
    cublasDestroy(handle) {
      const code = cublasDestroy_v2(handle);
      if (code !== 0) fail("cublasDestroy", code);
    },
    cublasSetStream(handle, streamId) {
      const code = cublasSetStream_v2(handle, streamId);
      if (code !== 0) fail("cublasSetStream", code);
    },
    cublasGetStream(handle, streamId) {
      const code = cublasGetStream_v2(handle, streamId);
      if (code !== 0) fail("cublasGetStream", code);
    },
    cublasSetWorkspace(handle, workspace, workspaceSizeInBytes) {
      u32[0] = workspace;
      u32[1] = workspace / 4294967296;
      u32[2] = workspaceSizeInBytes;
      u32[3] = workspaceSizeInBytes / 4294967296;
      const code = cublasSetWorkspace_v2(handle, u64[0], u64[1]);
      if (code !== 0) fail("cublasSetWorkspace", code);
    },
    cublasSetMathMode(handle, mode) {
      const code = cublasSetMathMode(handle, mode);
      if (code !== 0) fail("cublasSetMathMode", code);
    },
    cublasGetMathMode(handle, mode) {
      const code = cublasGetMathMode(handle, mode);
      if (code !== 0) fail("cublasGetMathMode", code);
    },
    cublasSetPointerMode(handle, mode) {
      const code = cublasSetPointerMode_v2(handle, mode);
      if (code !== 0) fail("cublasSetPointerMode", code);
    },
    cublasSetAtomicsMode(handle, mode) {
      const code = cublasSetAtomicsMode(handle, mode);
      if (code !== 0) fail("cublasSetAtomicsMode", code);
    },
    cublasGemmEx(
      handle,
      transa,
      transb,
      m,
      n,
      k,
      alpha,
      A,
      Atype,
      lda,
      B,
      Btype,
      ldb,
      beta,
      C,
      Ctype,
      ldc,
      computeType,
      algo,
    ) {
      u32[0] = A;
      u32[1] = A / 4294967296;
      u32[2] = B;
      u32[3] = B / 4294967296;
      u32[4] = C;
      u32[5] = C / 4294967296;
      const code = cublasGemmEx(
        handle,
        transa,
        transb,
        m,
        n,
        k,
        alpha,
        u64[0],
        Atype,
        lda,
        u64[1],
        Btype,
        ldb,
        beta,
        u64[2],
        Ctype,
        ldc,
        computeType,
        algo,
      );
      if (code !== 0) fail("cublasGemmEx", code);
    },
    cublasGemmStridedBatchedEx(
      handle,
      transa,
      transb,
      m,
      n,
      k,
      alpha,
      A,
      Atype,
      lda,
      strideA,
      B,
      Btype,
      ldb,
      strideB,
      beta,
      C,
      Ctype,
      ldc,
      strideC,
      batchCount,
      computeType,
      algo,
    ) {
      u32[0] = A;
      u32[1] = A / 4294967296;
      u32[2] = B;
      u32[3] = B / 4294967296;
      u32[4] = C;
      u32[5] = C / 4294967296;
      const code = cublasGemmStridedBatchedEx(
        handle,
        transa,
        transb,
        m,
        n,
        k,
        alpha,
        u64[0],
        Atype,
        lda,
        BigInt(strideA),
        u64[1],
        Btype,
        ldb,
        BigInt(strideB),
        beta,
        u64[2],
        Ctype,
        ldc,
        BigInt(strideC),
        batchCount,
        computeType,
        algo,
      );
      if (code !== 0) fail("cublasGemmStridedBatchedEx", code);
    },
    cublasGemmBatchedEx(
      handle,
      transa,
      transb,
      m,
      n,
      k,
      alpha,
      Aarray,
      Atype,
      lda,
      Barray,
      Btype,
      ldb,
      beta,
      Carray,
      Ctype,
      ldc,
      batchCount,
      computeType,
      algo,
    ) {
      u32[0] = Aarray;
      u32[1] = Aarray / 4294967296;
      u32[2] = Barray;
      u32[3] = Barray / 4294967296;
      u32[4] = Carray;
      u32[5] = Carray / 4294967296;
      const code = cublasGemmBatchedEx(
        handle,
        transa,
        transb,
        m,
        n,
        k,
        alpha,
        u64[0],
        Atype,
        lda,
        u64[1],
        Btype,
        ldb,
        beta,
        u64[2],
        Ctype,
        ldc,
        batchCount,
        computeType,
        algo,
      );
      if (code !== 0) fail("cublasGemmBatchedEx", code);
    },
  };
}
