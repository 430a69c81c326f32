/** What NVIDIA's libraries answer when a call fails: one class per library. */

/** How a call failed. */
export interface NativeFailure {
  /** The call, such as `cuMemAlloc`. */
  readonly call: string;
  /** The status that it returned. */
  readonly code: number;
  /** Name of the status, such as `CUDA_ERROR_OUT_OF_MEMORY`. */
  readonly status: string;
  /** What the library says about it; may be empty. */
  readonly text: string;
}

/** A call of a native library that returned an error. */
export class NativeError extends Error {
  /** The class's name. */
  override name = "NativeError";
  /** The call, such as `cuMemAlloc`. */
  readonly call: string;
  /** The status that it returned. */
  readonly code: number;
  /** Name of the status, such as `CUDA_ERROR_OUT_OF_MEMORY`. */
  readonly status: string;
  /** What the library says about it; may be empty. */
  readonly text: string;
  /** The usual cause and what to do, where there is one. */
  readonly hint: string | undefined;

  /**
   * A failed call.
   *
   * @param failure What the library answered
   * @param hints Hints by name of the status
   */
  constructor(failure: NativeFailure, hints: Readonly<Record<string, string>> = {}) {
    const { call, code, status, text } = failure;
    const hint = hints[status];
    super(
      `${call} failed: ${status} (${code})` + (text === "" ? "" : `, ${text}`) +
        (hint === undefined ? "" : `; ${hint}`),
    );
    this.call = call;
    this.code = code;
    this.status = status;
    this.text = text;
    this.hint = hint;
  }
}

const ASYNCHRONOUS =
  "an earlier kernel failed, and this call only reports it: run with CUDA_LAUNCH_BLOCKING=1 or under compute-sanitizer; the context is lost";
const CAPTURE =
  "the call is not allowed while a stream records a graph: move allocations, reads and waits out of the captured step";

const cudaHints: Readonly<Record<string, string>> = {
  CUDA_ERROR_OUT_OF_MEMORY: "use a smaller batch, or end other processes on the device",
  CUDA_ERROR_NOT_INITIALIZED: "call cuInit(0) first",
  CUDA_ERROR_NO_DEVICE:
    "no NVIDIA GPU is visible: see nvidia-smi and the variable CUDA_VISIBLE_DEVICES",
  CUDA_ERROR_INVALID_DEVICE: "device indices count from 0 within CUDA_VISIBLE_DEVICES",
  CUDA_ERROR_INVALID_CONTEXT:
    "the thread has no current context: call cuCtxSetCurrent in each worker, and no context-bound call as nonblocking",
  CUDA_ERROR_NO_BINARY_FOR_GPU: "the kernel was compiled for another architecture than the device",
  CUDA_ERROR_INVALID_PTX: "the driver is older than the compiler of this PTX",
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION: "the driver is older than NVRTC: update the driver",
  CUDA_ERROR_NOT_FOUND: 'no symbol of this name: is the kernel extern "C", or its name lowered?',
  CUDA_ERROR_ILLEGAL_ADDRESS: ASYNCHRONOUS,
  CUDA_ERROR_MISALIGNED_ADDRESS: ASYNCHRONOUS,
  CUDA_ERROR_LAUNCH_FAILED: ASYNCHRONOUS,
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: "fewer threads in a block, or fewer registers in the kernel",
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: CAPTURE,
  CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: CAPTURE,
  CUDA_ERROR_STREAM_CAPTURE_IMPLICIT: CAPTURE,
  CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE:
    "the graph's topology changed: instantiate it again instead of updating it",
  CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: "libcuda and the kernel module differ: reboot",
  CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: "the compat libcuda does not support this GPU",
};

/** A driver call failed. */
export class CudaError extends NativeError {
  /** The class's name. */
  override name = "CudaError";
  /**
   * A failed call.
   *
   * @param failure What the driver answered
   */
  constructor(failure: NativeFailure) {
    super(failure, cudaHints);
  }
}

const nvrtcHints: Readonly<Record<string, string>> = {
  NVRTC_ERROR_COMPILATION: "the program log has the compiler's messages",
  NVRTC_ERROR_INVALID_OPTION:
    "this NVRTC may not know the architecture: see nvrtcGetSupportedArchs",
  NVRTC_ERROR_BUILTIN_OPERATION_FAILURE:
    "libnvrtc-builtins of the same version must be loaded first",
  NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID:
    "lowered names exist only for what was added before compiling",
};

/** An NVRTC call failed. */
export class NvrtcError extends NativeError {
  /** The class's name. */
  override name = "NvrtcError";
  /**
   * A failed call.
   *
   * @param failure What NVRTC answered
   */
  constructor(failure: NativeFailure) {
    super(failure, nvrtcHints);
  }
}

const cublasHints: Readonly<Record<string, string>> = {
  CUBLAS_STATUS_NOT_INITIALIZED: "no device, no current context, or a driver older than cuBLAS",
  CUBLAS_STATUS_ALLOC_FAILED: "the device is out of memory",
  CUBLAS_STATUS_INVALID_VALUE: "a size, a leading dimension or the size of an attribute is wrong",
  CUBLAS_STATUS_NOT_SUPPORTED:
    "no algorithm for these types, layouts, alignments and this epilogue: use the plain path",
  CUBLAS_STATUS_ARCH_MISMATCH: "this cuBLAS has no kernels for the device",
};

/** A call of cuBLAS or cuBLASLt failed. */
export class CublasError extends NativeError {
  /** The class's name. */
  override name = "CublasError";
  /**
   * A failed call.
   *
   * @param failure What cuBLAS answered
   */
  constructor(failure: NativeFailure) {
    super(failure, cublasHints);
  }
}

const cudnnHints: Readonly<Record<string, string>> = {
  CUDNN_STATUS_NOT_INITIALIZED: "no device, no current context, or a driver older than cuDNN",
  CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH: "the parts of cuDNN come from different installations",
  CUDNN_STATUS_NOT_SUPPORTED:
    "CUDNN_LOGLEVEL_DBG=3 CUDNN_LOGDEST_DBG=stderr prints why each engine refused",
};

/** A cuDNN call failed. */
export class CudnnError extends NativeError {
  /** The class's name. */
  override name = "CudnnError";
  /**
   * A failed call.
   *
   * @param failure What cuDNN answered
   */
  constructor(failure: NativeFailure) {
    super(failure, cudnnHints);
  }
}

const ncclHints: Readonly<Record<string, string>> = {
  ncclUnhandledCudaError: "NCCL_DEBUG=INFO prints the CUDA call",
  ncclSystemError: "NCCL_DEBUG=INFO prints the socket; NCCL_SOCKET_IFNAME picks the interface",
  ncclInvalidUsage:
    "two ranks on one GPU need NCCL_MULTI_RANK_GPU_ENABLE=1 and NCCL 2.30; else one rank per GPU",
  ncclRemoteError: "another rank ended or lost its connection: see its log",
};

/** An NCCL call failed. */
export class NcclError extends NativeError {
  /** The class's name. */
  override name = "NcclError";
  /**
   * A failed call.
   *
   * @param failure What NCCL answered
   */
  constructor(failure: NativeFailure) {
    super(failure, ncclHints);
  }
}

const nvmlHints: Readonly<Record<string, string>> = {
  NVML_ERROR_UNINITIALIZED: "call nvmlInit first",
  NVML_ERROR_NO_PERMISSION: "the setting needs administrator rights",
};

/** An NVML call failed. */
export class NvmlError extends NativeError {
  /** The class's name. */
  override name = "NvmlError";
  /**
   * A failed call.
   *
   * @param failure What NVML answered
   */
  constructor(failure: NativeFailure) {
    super(failure, nvmlHints);
  }
}

/** Name of `code` in a table of the header; `what code` when the header knows none. */
export function statusName(
  table: Readonly<Record<string, number>>,
  what: string,
  code: number,
): string {
  for (const name in table) if (table[name] === code) return name;
  return `${what} ${code}`;
}

/**
 * Refuses a call whose symbol the library lacks.
 *
 * @throws {Error} Always
 */
export function missingSymbol(library: string, symbol: string): never {
  throw new Error(`Cannot call ${symbol}: this ${library} is too old to have it`);
}
