/**
 * cuBLASLt: symbols as cublasLt.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { CublasError, statusName } from "./errors.ts";
import { readCString } from "./memory.ts";
import { u32, u64 } from "./scratch.ts";
import { cublasStatus_t } from "./cublas_enums.ts";

/** Symbols of cuBLASLt. */
export const cublasLtSymbols = {
  cublasLtGetVersion: {
    parameters: [],
    result: "usize",
  },
  cublasLtGetStatusString: {
    parameters: [
      "i32", // status
    ],
    result: "pointer",
  },
  cublasLtCreate: {
    parameters: [
      "buffer", // lightHandle
    ],
    result: "i32",
  },
  cublasLtDestroy: {
    parameters: [
      "u64", // lightHandle
    ],
    result: "i32",
  },
  cublasLtMatmulDescCreate: {
    parameters: [
      "buffer", // matmulDesc
      "i32", // computeType
      "i32", // scaleType
    ],
    result: "i32",
  },
  cublasLtMatmulDescDestroy: {
    parameters: [
      "u64", // matmulDesc
    ],
    result: "i32",
  },
  cublasLtMatmulDescSetAttribute: {
    parameters: [
      "u64", // matmulDesc
      "i32", // attr
      "buffer", // buf
      "usize", // sizeInBytes
    ],
    result: "i32",
  },
  cublasLtMatmulDescGetAttribute: {
    parameters: [
      "u64", // matmulDesc
      "i32", // attr
      "buffer", // buf
      "usize", // sizeInBytes
      "buffer", // sizeWritten
    ],
    result: "i32",
  },
  cublasLtMatrixLayoutCreate: {
    parameters: [
      "buffer", // matLayout
      "i32", // type
      "u64", // rows
      "u64", // cols
      "i64", // ld
    ],
    result: "i32",
  },
  cublasLtMatrixLayoutDestroy: {
    parameters: [
      "u64", // matLayout
    ],
    result: "i32",
  },
  cublasLtMatrixLayoutSetAttribute: {
    parameters: [
      "u64", // matLayout
      "i32", // attr
      "buffer", // buf
      "usize", // sizeInBytes
    ],
    result: "i32",
  },
  cublasLtMatrixLayoutGetAttribute: {
    parameters: [
      "u64", // matLayout
      "i32", // attr
      "buffer", // buf
      "usize", // sizeInBytes
      "buffer", // sizeWritten
    ],
    result: "i32",
  },
  cublasLtMatmulPreferenceCreate: {
    parameters: [
      "buffer", // pref
    ],
    result: "i32",
  },
  cublasLtMatmulPreferenceDestroy: {
    parameters: [
      "u64", // pref
    ],
    result: "i32",
  },
  cublasLtMatmulPreferenceSetAttribute: {
    parameters: [
      "u64", // pref
      "i32", // attr
      "buffer", // buf
      "usize", // sizeInBytes
    ],
    result: "i32",
  },
  cublasLtMatmulPreferenceGetAttribute: {
    parameters: [
      "u64", // pref
      "i32", // attr
      "buffer", // buf
      "usize", // sizeInBytes
      "buffer", // sizeWritten
    ],
    result: "i32",
  },
  cublasLtMatmulAlgoGetHeuristic: {
    parameters: [
      "u64", // lightHandle
      "u64", // operationDesc
      "u64", // Adesc
      "u64", // Bdesc
      "u64", // Cdesc
      "u64", // Ddesc
      "u64", // preference
      "i32", // requestedAlgoCount
      "buffer", // heuristicResultsArray
      "buffer", // returnAlgoCount
    ],
    result: "i32",
  },
  cublasLtMatmulAlgoCheck: {
    parameters: [
      "u64", // lightHandle
      "u64", // operationDesc
      "u64", // Adesc
      "u64", // Bdesc
      "u64", // Cdesc
      "u64", // Ddesc
      "buffer", // algo
      "buffer", // result
    ],
    result: "i32",
  },
  cublasLtMatmul: {
    parameters: [
      "u64", // lightHandle
      "u64", // computeDesc
      "u64", // alpha
      "u64", // A
      "u64", // Adesc
      "u64", // B
      "u64", // Bdesc
      "u64", // beta
      "u64", // C
      "u64", // Cdesc
      "u64", // D
      "u64", // Ddesc
      "u64", // algo
      "u64", // workspace
      "usize", // workspaceSizeInBytes
      "u64", // stream
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of cuBLASLt. Each raises {@linkcode CublasError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface CublasLtCalls {
  /** `size_t cublasLtGetVersion(void)` */
  cublasLtGetVersion(): number;
  /** `const char* cublasLtGetStatusString(cublasStatus_t status)` */
  cublasLtGetStatusString(status: number): string;
  /** `cublasStatus_t cublasLtCreate(cublasLtHandle_t* lightHandle)` */
  cublasLtCreate(lightHandle: BufferSource | null): void;
  /** `cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle)` */
  cublasLtDestroy(lightHandle: bigint): void;
  /** `cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* matmulDesc, cublasComputeType_t computeType, cudaDataType_t scaleType)` */
  cublasLtMatmulDescCreate(
    matmulDesc: BufferSource | null,
    computeType: number,
    scaleType: number,
  ): void;
  /** `cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc)` */
  cublasLtMatmulDescDestroy(matmulDesc: bigint): void;
  /** `cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc, cublasLtMatmulDescAttributes_t attr, const void* buf, size_t sizeInBytes)` */
  cublasLtMatmulDescSetAttribute(
    matmulDesc: bigint,
    attr: number,
    buf: BufferSource | null,
    sizeInBytes: number,
  ): void;
  /** `cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t matmulDesc, cublasLtMatmulDescAttributes_t attr, void* buf, size_t sizeInBytes, size_t* sizeWritten)` */
  cublasLtMatmulDescGetAttribute(
    matmulDesc: bigint,
    attr: number,
    buf: BufferSource | null,
    sizeInBytes: number,
    sizeWritten: BufferSource | null,
  ): void;
  /** `cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matLayout, cudaDataType type, uint64_t rows, uint64_t cols, int64_t ld)` */
  cublasLtMatrixLayoutCreate(
    matLayout: BufferSource | null,
    type: number,
    rows: number,
    cols: number,
    ld: number,
  ): void;
  /** `cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout)` */
  cublasLtMatrixLayoutDestroy(matLayout: bigint): void;
  /** `cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t matLayout, cublasLtMatrixLayoutAttribute_t attr, const void* buf, size_t sizeInBytes)` */
  cublasLtMatrixLayoutSetAttribute(
    matLayout: bigint,
    attr: number,
    buf: BufferSource | null,
    sizeInBytes: number,
  ): void;
  /** `cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t matLayout, cublasLtMatrixLayoutAttribute_t attr, void* buf, size_t sizeInBytes, size_t* sizeWritten)` */
  cublasLtMatrixLayoutGetAttribute(
    matLayout: bigint,
    attr: number,
    buf: BufferSource | null,
    sizeInBytes: number,
    sizeWritten: BufferSource | null,
  ): void;
  /** `cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* pref)` */
  cublasLtMatmulPreferenceCreate(pref: BufferSource | null): void;
  /** `cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref)` */
  cublasLtMatmulPreferenceDestroy(pref: bigint): void;
  /** `cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref, cublasLtMatmulPreferenceAttributes_t attr, const void* buf, size_t sizeInBytes)` */
  cublasLtMatmulPreferenceSetAttribute(
    pref: bigint,
    attr: number,
    buf: BufferSource | null,
    sizeInBytes: number,
  ): void;
  /** `cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t pref, cublasLtMatmulPreferenceAttributes_t attr, void* buf, size_t sizeInBytes, size_t* sizeWritten)` */
  cublasLtMatmulPreferenceGetAttribute(
    pref: bigint,
    attr: number,
    buf: BufferSource | null,
    sizeInBytes: number,
    sizeWritten: BufferSource | null,
  ): void;
  /** `cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc, cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc, cublasLtMatmulPreference_t preference, int requestedAlgoCount, cublasLtMatmulHeuristicResult_t heuristicResultsArray[], int* returnAlgoCount)` */
  cublasLtMatmulAlgoGetHeuristic(
    lightHandle: bigint,
    operationDesc: bigint,
    Adesc: bigint,
    Bdesc: bigint,
    Cdesc: bigint,
    Ddesc: bigint,
    preference: bigint,
    requestedAlgoCount: number,
    heuristicResultsArray: BufferSource | null,
    returnAlgoCount: BufferSource | null,
  ): number;
  /** `cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc, cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc, cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t* algo, cublasLtMatmulHeuristicResult_t* result)` */
  cublasLtMatmulAlgoCheck(
    lightHandle: bigint,
    operationDesc: bigint,
    Adesc: bigint,
    Bdesc: bigint,
    Cdesc: bigint,
    Ddesc: bigint,
    algo: BufferSource | null,
    result: BufferSource | null,
  ): void;
  /** `cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc, const void* alpha, const void* A, cublasLtMatrixLayout_t Adesc, const void* B, cublasLtMatrixLayout_t Bdesc, const void* beta, const void* C, cublasLtMatrixLayout_t Cdesc, void* D, cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspaceSizeInBytes, cudaStream_t stream)` */
  cublasLtMatmul(
    lightHandle: bigint,
    computeDesc: bigint,
    alpha: bigint,
    A: number,
    Adesc: bigint,
    B: number,
    Bdesc: bigint,
    beta: bigint,
    C: number,
    Cdesc: bigint,
    D: number,
    Ddesc: bigint,
    algo: bigint,
    workspace: number,
    workspaceSizeInBytes: number,
    stream: bigint,
  ): void;
}

/** Makes the checked calls from an open library. */
export function bindCublasLt(
  symbols: Deno.DynamicLibrary<typeof cublasLtSymbols>["symbols"],
): CublasLtCalls {
  const {
    cublasLtGetVersion,
    cublasLtGetStatusString,
    cublasLtCreate,
    cublasLtDestroy,
    cublasLtMatmulDescCreate,
    cublasLtMatmulDescDestroy,
    cublasLtMatmulDescSetAttribute,
    cublasLtMatmulDescGetAttribute,
    cublasLtMatrixLayoutCreate,
    cublasLtMatrixLayoutDestroy,
    cublasLtMatrixLayoutSetAttribute,
    cublasLtMatrixLayoutGetAttribute,
    cublasLtMatmulPreferenceCreate,
    cublasLtMatmulPreferenceDestroy,
    cublasLtMatmulPreferenceSetAttribute,
    cublasLtMatmulPreferenceGetAttribute,
    cublasLtMatmulAlgoGetHeuristic,
    cublasLtMatmulAlgoCheck,
    cublasLtMatmul,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new CublasError({
      call,
      code,
      status: statusName(cublasStatus_t, "cublasStatus_t", code),
      text: readCString(cublasLtGetStatusString(code)),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    cublasLtGetVersion() {
      return Number(cublasLtGetVersion());
    },
    cublasLtGetStatusString(status) {
      return readCString(cublasLtGetStatusString(status));
    },
    cublasLtCreate(lightHandle) {
      const code = cublasLtCreate(lightHandle);
      if (code !== 0) fail("cublasLtCreate", code);
    },
    cublasLtDestroy(lightHandle) {
      const code = cublasLtDestroy(lightHandle);
      if (code !== 0) fail("cublasLtDestroy", code);
    },
    cublasLtMatmulDescCreate(matmulDesc, computeType, scaleType) {
      const code = cublasLtMatmulDescCreate(matmulDesc, computeType, scaleType);
      if (code !== 0) fail("cublasLtMatmulDescCreate", code);
    },
    cublasLtMatmulDescDestroy(matmulDesc) {
      const code = cublasLtMatmulDescDestroy(matmulDesc);
      if (code !== 0) fail("cublasLtMatmulDescDestroy", code);
    },
    cublasLtMatmulDescSetAttribute(matmulDesc, attr, buf, sizeInBytes) {
      u32[0] = sizeInBytes;
      u32[1] = sizeInBytes / 4294967296;
      const code = cublasLtMatmulDescSetAttribute(matmulDesc, attr, buf, u64[0]);
      if (code !== 0) fail("cublasLtMatmulDescSetAttribute", code);
    },
    cublasLtMatmulDescGetAttribute(matmulDesc, attr, buf, sizeInBytes, sizeWritten) {
      u32[0] = sizeInBytes;
      u32[1] = sizeInBytes / 4294967296;
      const code = cublasLtMatmulDescGetAttribute(matmulDesc, attr, buf, u64[0], sizeWritten);
      if (code !== 0) fail("cublasLtMatmulDescGetAttribute", code);
    },
    cublasLtMatrixLayoutCreate(matLayout, type, rows, cols, ld) {
      u32[0] = rows;
      u32[1] = rows / 4294967296;
      u32[2] = cols;
      u32[3] = cols / 4294967296;
      const code = cublasLtMatrixLayoutCreate(matLayout, type, u64[0], u64[1], BigInt(ld));
      if (code !== 0) fail("cublasLtMatrixLayoutCreate", code);
    },
    cublasLtMatrixLayoutDestroy(matLayout) {
      const code = cublasLtMatrixLayoutDestroy(matLayout);
      if (code !== 0) fail("cublasLtMatrixLayoutDestroy", code);
    },
    cublasLtMatrixLayoutSetAttribute(matLayout, attr, buf, sizeInBytes) {
      u32[0] = sizeInBytes;
      u32[1] = sizeInBytes / 4294967296;
      const code = cublasLtMatrixLayoutSetAttribute(matLayout, attr, buf, u64[0]);
      if (code !== 0) fail("cublasLtMatrixLayoutSetAttribute", code);
    },
    cublasLtMatrixLayoutGetAttribute(matLayout, attr, buf, sizeInBytes, sizeWritten) {
      u32[0] = sizeInBytes;
      u32[1] = sizeInBytes / 4294967296;
      const code = cublasLtMatrixLayoutGetAttribute(matLayout, attr, buf, u64[0], sizeWritten);
      if (code !== 0) fail("cublasLtMatrixLayoutGetAttribute", code);
    },
    cublasLtMatmulPreferenceCreate(pref) {
      const code = cublasLtMatmulPreferenceCreate(pref);
      if (code !== 0) fail("cublasLtMatmulPreferenceCreate", code);
    },
    cublasLtMatmulPreferenceDestroy(pref) {
      const code = cublasLtMatmulPreferenceDestroy(pref);
      if (code !== 0) fail("cublasLtMatmulPreferenceDestroy", code);
    },
    cublasLtMatmulPreferenceSetAttribute(pref, attr, buf, sizeInBytes) {
      u32[0] = sizeInBytes;
      u32[1] = sizeInBytes / 4294967296;
      const code = cublasLtMatmulPreferenceSetAttribute(pref, attr, buf, u64[0]);
      if (code !== 0) fail("cublasLtMatmulPreferenceSetAttribute", code);
    },
    cublasLtMatmulPreferenceGetAttribute(pref, attr, buf, sizeInBytes, sizeWritten) {
      u32[0] = sizeInBytes;
      u32[1] = sizeInBytes / 4294967296;
      const code = cublasLtMatmulPreferenceGetAttribute(pref, attr, buf, u64[0], sizeWritten);
      if (code !== 0) fail("cublasLtMatmulPreferenceGetAttribute", code);
    },
    cublasLtMatmulAlgoGetHeuristic(
      lightHandle,
      operationDesc,
      Adesc,
      Bdesc,
      Cdesc,
      Ddesc,
      preference,
      requestedAlgoCount,
      heuristicResultsArray,
      returnAlgoCount,
    ) {
      const code = cublasLtMatmulAlgoGetHeuristic(
        lightHandle,
        operationDesc,
        Adesc,
        Bdesc,
        Cdesc,
        Ddesc,
        preference,
        requestedAlgoCount,
        heuristicResultsArray,
        returnAlgoCount,
      );
      if (code !== 0 && code !== 15) fail("cublasLtMatmulAlgoGetHeuristic", code);
      return code;
    },
    cublasLtMatmulAlgoCheck(lightHandle, operationDesc, Adesc, Bdesc, Cdesc, Ddesc, algo, result) {
      const code = cublasLtMatmulAlgoCheck(
        lightHandle,
        operationDesc,
        Adesc,
        Bdesc,
        Cdesc,
        Ddesc,
        algo,
        result,
      );
      if (code !== 0) fail("cublasLtMatmulAlgoCheck", code);
    },
    cublasLtMatmul(
      lightHandle,
      computeDesc,
      alpha,
      A,
      Adesc,
      B,
      Bdesc,
      beta,
      C,
      Cdesc,
      D,
      Ddesc,
      algo,
      workspace,
      workspaceSizeInBytes,
      stream,
    ) {
      u32[0] = A;
      u32[1] = A / 4294967296;
      u32[2] = B;
      u32[3] = B / 4294967296;
      u32[4] = C;
      u32[5] = C / 4294967296;
      u32[6] = D;
      u32[7] = D / 4294967296;
      u32[8] = workspace;
      u32[9] = workspace / 4294967296;
      u32[10] = workspaceSizeInBytes;
      u32[11] = workspaceSizeInBytes / 4294967296;
      const code = cublasLtMatmul(
        lightHandle,
        computeDesc,
        alpha,
        u64[0],
        Adesc,
        u64[1],
        Bdesc,
        beta,
        u64[2],
        Cdesc,
        u64[3],
        Ddesc,
        algo,
        u64[4],
        u64[5],
        stream,
      );
      if (code !== 0) fail("cublasLtMatmul", code);
    },
  };
}
