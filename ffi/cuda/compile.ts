/** Compiling CUDA C with NVRTC. */
import { NvrtcError } from "./errors.ts";
import { cString, cStrings, readCString, textOf } from "./memory.ts";
import type { NvrtcCalls } from "./nvrtc.ts";
import { nvrtcResult } from "./nvrtc_enums.ts";

/** What to compile. */
export interface CudaSource {
  /** CUDA C. NVRTC knows no header by itself. */
  readonly source: string;
  /** Name of the source in messages. */
  readonly name?: string;
  /** Options, such as `-arch=sm_90`. */
  readonly options?: readonly string[];
  /** Headers that the source includes, by name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Template instances wanted, such as `add<float>`. */
  readonly expressions?: readonly string[];
}

/** What came out. */
export interface CudaBinary {
  /** Machine code; empty for a virtual architecture (`-arch=compute_90`). */
  readonly cubin: Uint8Array<ArrayBuffer>;
  /** Assembly for the driver to compile. */
  readonly ptx: string;
  /** Warnings; empty without. */
  readonly log: string;
  /** Symbol of each expression. */
  readonly lowered: Readonly<Record<string, string>>;
}

/** Bytes that a pair of calls hands over: the first gives the size. */
function bytes(
  size: (at: BigUint64Array<ArrayBuffer>) => void,
  get: (into: Uint8Array<ArrayBuffer>) => void,
): Uint8Array<ArrayBuffer> {
  const at = new BigUint64Array(1);
  size(at);
  const into = new Uint8Array(Number(at[0]));
  if (into.length > 0) get(into);
  return into;
}

/**
 * Compiles CUDA C. Blocks for as long as it takes; NVRTC compiles one program at a time in a process.
 *
 * @param nvrtc Calls of NVRTC
 * @param program What to compile
 * @throws {NvrtcError} When it does not compile; the text holds the compiler's messages
 */
export function compileCuda(nvrtc: NvrtcCalls, program: CudaSource): CudaBinary {
  const { source, name = "kernel.cu", options = [], headers = {}, expressions = [] } = program;
  const handle = new BigUint64Array(1);
  const contents = cStrings(Object.values(headers)), includes = cStrings(Object.keys(headers));
  const count = includes.strings.length;
  nvrtc.nvrtcCreateProgram(
    handle,
    cString(source),
    cString(name),
    count,
    count === 0 ? null : contents.pointers,
    count === 0 ? null : includes.pointers,
  );
  const p = handle[0];
  try {
    for (const expression of expressions) nvrtc.nvrtcAddNameExpression(p, cString(expression));
    const given = cStrings(options);
    const code = nvrtc.nvrtcCompileProgram(p, options.length, given.pointers);
    const log = textOf(bytes(
      (at) => nvrtc.nvrtcGetProgramLogSize(p, at),
      (into) => nvrtc.nvrtcGetProgramLog(p, into),
    )).trim();
    if (code !== nvrtcResult.NVRTC_SUCCESS) {
      throw new NvrtcError({
        call: "nvrtcCompileProgram",
        code,
        status: "NVRTC_ERROR_COMPILATION",
        text: log,
      });
    }
    const lowered: Record<string, string> = {};
    for (const expression of expressions) {
      const at = new BigUint64Array(1);
      nvrtc.nvrtcGetLoweredName(p, cString(expression), at);
      lowered[expression] = readCString(at[0]);
    }
    return {
      cubin: bytes((at) => nvrtc.nvrtcGetCUBINSize(p, at), (into) => nvrtc.nvrtcGetCUBIN(p, into)),
      ptx: textOf(
        bytes((at) => nvrtc.nvrtcGetPTXSize(p, at), (into) => nvrtc.nvrtcGetPTX(p, into)),
      ),
      log,
      lowered,
    };
  } finally {
    nvrtc.nvrtcDestroyProgram(handle);
    // The compiler reads the strings until here; a reference keeps them from being collected.
    void [contents, includes];
  }
}
