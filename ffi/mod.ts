/**
 * Native libraries of the system: found and opened on first use, never at import. Knows no tensor.
 * @module
 */
export {
  ffiGranted,
  type LibrarySpec,
  type OpenLibrary,
  openLibrary,
  tryLibrary,
} from "./library.ts";
export { type Blas, type BlasOperand, type BlasProduct, openBlas } from "./blas.ts";
export {
  type Lapack,
  openLapack,
  type Reals,
  type SingularResult,
  type Triangle,
} from "./lapack.ts";
export {
  openCublas,
  openCublasLt,
  openCudnn,
  openDriver,
  openNccl,
  openNvml,
  openNvrtc,
} from "./cuda/open.ts";
export type { LibraryVersion, NativeLibrary } from "./cuda/find.ts";
export type { DriverCalls } from "./cuda/driver.ts";
export type { NvrtcCalls } from "./cuda/nvrtc.ts";
export type { CublasLtCalls } from "./cuda/cublas_lt.ts";
export type { CublasCalls } from "./cuda/cublas.ts";
export type { CudnnCalls } from "./cuda/cudnn.ts";
export type { NcclCalls } from "./cuda/nccl.ts";
export type { NvmlCalls } from "./cuda/nvml.ts";
export * from "./cuda/driver_enums.ts";
export * from "./cuda/nvrtc_enums.ts";
export * from "./cuda/cublas_lt_enums.ts";
export * from "./cuda/cublas_enums.ts";
export * from "./cuda/cudnn_enums.ts";
export * from "./cuda/nccl_enums.ts";
export * from "./cuda/nvml_enums.ts";
export {
  CublasError,
  CudaError,
  CudnnError,
  NativeError,
  type NativeFailure,
  NcclError,
  NvmlError,
  NvrtcError,
} from "./cuda/errors.ts";
export {
  address,
  cString,
  type CStrings,
  cStrings,
  ParameterBlock,
  readCString,
  textOf,
} from "./cuda/memory.ts";
export { compileCuda, type CudaBinary, type CudaSource } from "./cuda/compile.ts";
export {
  memPoolProps,
  type NcclConfig,
  ncclConfig,
  type StructLayout,
  structs,
} from "./cuda/structs.ts";
