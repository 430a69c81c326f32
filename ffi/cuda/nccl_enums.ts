/** Enums of NCCL, as in nccl.h. Written by tools/ffi_headers.ts from the header; do not edit. */

/** `ncclResult_t` */
export const ncclResult_t = {
  ncclSuccess: 0,
  ncclUnhandledCudaError: 1,
  ncclSystemError: 2,
  ncclInternalError: 3,
  ncclInvalidArgument: 4,
  ncclInvalidUsage: 5,
  ncclRemoteError: 6,
  ncclInProgress: 7,
  ncclTimeout: 8,
  ncclNumResults: 9,
} as const;

/** `ncclDataType_t` */
export const ncclDataType_t = {
  ncclInt8: 0,
  ncclChar: 0,
  ncclUint8: 1,
  ncclInt32: 2,
  ncclInt: 2,
  ncclUint32: 3,
  ncclInt64: 4,
  ncclUint64: 5,
  ncclFloat16: 6,
  ncclHalf: 6,
  ncclFloat32: 7,
  ncclFloat: 7,
  ncclFloat64: 8,
  ncclDouble: 8,
  ncclBfloat16: 9,
  ncclFloat8e4m3: 10,
  ncclFloat8e5m2: 11,
  ncclNumTypes: 12,
} as const;

/** `ncclRedOp_t` */
export const ncclRedOp_t = {
  ncclSum: 0,
  ncclProd: 1,
  ncclMax: 2,
  ncclMin: 3,
  ncclAvg: 4,
  ncclNumOps: 5,
} as const;

/** `ncclScalarResidence_t` */
export const ncclScalarResidence_t = {
  ncclScalarDevice: 0,
  ncclScalarHostImmediate: 1,
} as const;
