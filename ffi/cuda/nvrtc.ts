/**
 * NVRTC: symbols as nvrtc.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { NvrtcError, statusName } from "./errors.ts";
import { readCString } from "./memory.ts";

import { nvrtcResult } from "./nvrtc_enums.ts";

/** Symbols of NVRTC. */
export const nvrtcSymbols = {
  nvrtcVersion: {
    parameters: [
      "buffer", // major
      "buffer", // minor
    ],
    result: "i32",
  },
  nvrtcGetErrorString: {
    parameters: [
      "i32", // result
    ],
    result: "pointer",
  },
  nvrtcGetNumSupportedArchs: {
    parameters: [
      "buffer", // numArchs
    ],
    result: "i32",
  },
  nvrtcGetSupportedArchs: {
    parameters: [
      "buffer", // supportedArchs
    ],
    result: "i32",
  },
  nvrtcCreateProgram: {
    parameters: [
      "buffer", // prog
      "buffer", // src
      "buffer", // name
      "i32", // numHeaders
      "buffer", // headers
      "buffer", // includeNames
    ],
    result: "i32",
  },
  nvrtcDestroyProgram: {
    parameters: [
      "buffer", // prog
    ],
    result: "i32",
  },
  nvrtcCompileProgram: {
    parameters: [
      "u64", // prog
      "i32", // numOptions
      "buffer", // options
    ],
    result: "i32",
  },
  nvrtcAddNameExpression: {
    parameters: [
      "u64", // prog
      "buffer", // name_expression
    ],
    result: "i32",
  },
  nvrtcGetLoweredName: {
    parameters: [
      "u64", // prog
      "buffer", // name_expression
      "buffer", // lowered_name
    ],
    result: "i32",
  },
  nvrtcGetProgramLogSize: {
    parameters: [
      "u64", // prog
      "buffer", // logSizeRet
    ],
    result: "i32",
  },
  nvrtcGetProgramLog: {
    parameters: [
      "u64", // prog
      "buffer", // log
    ],
    result: "i32",
  },
  nvrtcGetPTXSize: {
    parameters: [
      "u64", // prog
      "buffer", // ptxSizeRet
    ],
    result: "i32",
  },
  nvrtcGetPTX: {
    parameters: [
      "u64", // prog
      "buffer", // ptx
    ],
    result: "i32",
  },
  nvrtcGetCUBINSize: {
    parameters: [
      "u64", // prog
      "buffer", // cubinSizeRet
    ],
    result: "i32",
  },
  nvrtcGetCUBIN: {
    parameters: [
      "u64", // prog
      "buffer", // cubin
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of NVRTC. Each raises {@linkcode NvrtcError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface NvrtcCalls {
  /** `nvrtcResult nvrtcVersion(int *major, int *minor)` */
  nvrtcVersion(major: BufferSource | null, minor: BufferSource | null): void;
  /** `const char * nvrtcGetErrorString(nvrtcResult result)` */
  nvrtcGetErrorString(result: number): string;
  /** `nvrtcResult nvrtcGetNumSupportedArchs(int* numArchs)` */
  nvrtcGetNumSupportedArchs(numArchs: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetSupportedArchs(int* supportedArchs)` */
  nvrtcGetSupportedArchs(supportedArchs: BufferSource | null): void;
  /** `nvrtcResult nvrtcCreateProgram(nvrtcProgram *prog, const char *src, const char *name, int numHeaders, const char * const *headers, const char * const *includeNames)` */
  nvrtcCreateProgram(
    prog: BufferSource | null,
    src: BufferSource | null,
    name: BufferSource | null,
    numHeaders: number,
    headers: BufferSource | null,
    includeNames: BufferSource | null,
  ): void;
  /** `nvrtcResult nvrtcDestroyProgram(nvrtcProgram *prog)` */
  nvrtcDestroyProgram(prog: BufferSource | null): void;
  /** `nvrtcResult nvrtcCompileProgram(nvrtcProgram prog, int numOptions, const char * const *options)` */
  nvrtcCompileProgram(prog: bigint, numOptions: number, options: BufferSource | null): number;
  /** `nvrtcResult nvrtcAddNameExpression(nvrtcProgram prog, const char * const name_expression)` */
  nvrtcAddNameExpression(prog: bigint, name_expression: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetLoweredName(nvrtcProgram prog, const char *const name_expression, const char** lowered_name)` */
  nvrtcGetLoweredName(
    prog: bigint,
    name_expression: BufferSource | null,
    lowered_name: BufferSource | null,
  ): void;
  /** `nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram prog, size_t *logSizeRet)` */
  nvrtcGetProgramLogSize(prog: bigint, logSizeRet: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetProgramLog(nvrtcProgram prog, char *log)` */
  nvrtcGetProgramLog(prog: bigint, log: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetPTXSize(nvrtcProgram prog, size_t *ptxSizeRet)` */
  nvrtcGetPTXSize(prog: bigint, ptxSizeRet: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetPTX(nvrtcProgram prog, char *ptx)` */
  nvrtcGetPTX(prog: bigint, ptx: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetCUBINSize(nvrtcProgram prog, size_t *cubinSizeRet)` */
  nvrtcGetCUBINSize(prog: bigint, cubinSizeRet: BufferSource | null): void;
  /** `nvrtcResult nvrtcGetCUBIN(nvrtcProgram prog, char *cubin)` */
  nvrtcGetCUBIN(prog: bigint, cubin: BufferSource | null): void;
}

/** Makes the checked calls from an open library. */
export function bindNvrtc(
  symbols: Deno.DynamicLibrary<typeof nvrtcSymbols>["symbols"],
): NvrtcCalls {
  const {
    nvrtcVersion,
    nvrtcGetErrorString,
    nvrtcGetNumSupportedArchs,
    nvrtcGetSupportedArchs,
    nvrtcCreateProgram,
    nvrtcDestroyProgram,
    nvrtcCompileProgram,
    nvrtcAddNameExpression,
    nvrtcGetLoweredName,
    nvrtcGetProgramLogSize,
    nvrtcGetProgramLog,
    nvrtcGetPTXSize,
    nvrtcGetPTX,
    nvrtcGetCUBINSize,
    nvrtcGetCUBIN,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new NvrtcError({
      call,
      code,
      status: statusName(nvrtcResult, "nvrtcResult", code),
      text: readCString(nvrtcGetErrorString(code)),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    nvrtcVersion(major, minor) {
      const code = nvrtcVersion(major, minor);
      if (code !== 0) fail("nvrtcVersion", code);
    },
    nvrtcGetErrorString(result) {
      return readCString(nvrtcGetErrorString(result));
    },
    nvrtcGetNumSupportedArchs(numArchs) {
      const code = nvrtcGetNumSupportedArchs(numArchs);
      if (code !== 0) fail("nvrtcGetNumSupportedArchs", code);
    },
    nvrtcGetSupportedArchs(supportedArchs) {
      const code = nvrtcGetSupportedArchs(supportedArchs);
      if (code !== 0) fail("nvrtcGetSupportedArchs", code);
    },
    nvrtcCreateProgram(prog, src, name, numHeaders, headers, includeNames) {
      const code = nvrtcCreateProgram(prog, src, name, numHeaders, headers, includeNames);
      if (code !== 0) fail("nvrtcCreateProgram", code);
    },
    nvrtcDestroyProgram(prog) {
      const code = nvrtcDestroyProgram(prog);
      if (code !== 0) fail("nvrtcDestroyProgram", code);
    },
    nvrtcCompileProgram(prog, numOptions, options) {
      const code = nvrtcCompileProgram(prog, numOptions, options);
      if (code !== 0 && code !== 6) fail("nvrtcCompileProgram", code);
      return code;
    },
    nvrtcAddNameExpression(prog, name_expression) {
      const code = nvrtcAddNameExpression(prog, name_expression);
      if (code !== 0) fail("nvrtcAddNameExpression", code);
    },
    nvrtcGetLoweredName(prog, name_expression, lowered_name) {
      const code = nvrtcGetLoweredName(prog, name_expression, lowered_name);
      if (code !== 0) fail("nvrtcGetLoweredName", code);
    },
    nvrtcGetProgramLogSize(prog, logSizeRet) {
      const code = nvrtcGetProgramLogSize(prog, logSizeRet);
      if (code !== 0) fail("nvrtcGetProgramLogSize", code);
    },
    nvrtcGetProgramLog(prog, log) {
      const code = nvrtcGetProgramLog(prog, log);
      if (code !== 0) fail("nvrtcGetProgramLog", code);
    },
    nvrtcGetPTXSize(prog, ptxSizeRet) {
      const code = nvrtcGetPTXSize(prog, ptxSizeRet);
      if (code !== 0) fail("nvrtcGetPTXSize", code);
    },
    nvrtcGetPTX(prog, ptx) {
      const code = nvrtcGetPTX(prog, ptx);
      if (code !== 0) fail("nvrtcGetPTX", code);
    },
    nvrtcGetCUBINSize(prog, cubinSizeRet) {
      const code = nvrtcGetCUBINSize(prog, cubinSizeRet);
      if (code !== 0) fail("nvrtcGetCUBINSize", code);
    },
    nvrtcGetCUBIN(prog, cubin) {
      const code = nvrtcGetCUBIN(prog, cubin);
      if (code !== 0) fail("nvrtcGetCUBIN", code);
    },
  };
}
