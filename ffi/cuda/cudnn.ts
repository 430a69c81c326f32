/**
 * cuDNN: symbols as cudnn.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { CudnnError, statusName } from "./errors.ts";
import { lastText, readCString } from "./memory.ts";
import { u32, u64 } from "./scratch.ts";
import { cudnnStatus_t } from "./cudnn_enums.ts";

/** Symbols of cuDNN. */
export const cudnnSymbols = {
  cudnnGetVersion: {
    parameters: [],
    result: "usize",
  },
  cudnnGetCudartVersion: {
    parameters: [],
    result: "usize",
  },
  cudnnGetErrorString: {
    parameters: [
      "i32", // status
    ],
    result: "pointer",
  },
  cudnnGetLastErrorString: {
    parameters: [
      "buffer", // message
      "usize", // max_size
    ],
    result: "void",
  },
  cudnnCreate: {
    parameters: [
      "buffer", // handle
    ],
    result: "i32",
  },
  cudnnDestroy: {
    parameters: [
      "u64", // handle
    ],
    result: "i32",
  },
  cudnnSetStream: {
    parameters: [
      "u64", // handle
      "u64", // streamId
    ],
    result: "i32",
  },
  cudnnGetStream: {
    parameters: [
      "u64", // handle
      "buffer", // streamId
    ],
    result: "i32",
  },
  cudnnBackendCreateDescriptor: {
    parameters: [
      "i32", // descriptorType
      "buffer", // descriptor
    ],
    result: "i32",
  },
  cudnnBackendDestroyDescriptor: {
    parameters: [
      "u64", // descriptor
    ],
    result: "i32",
  },
  cudnnBackendSetAttribute: {
    parameters: [
      "u64", // descriptor
      "i32", // attributeName
      "i32", // attributeType
      "i64", // elementCount
      "buffer", // arrayOfElements
    ],
    result: "i32",
  },
  cudnnBackendGetAttribute: {
    parameters: [
      "u64", // descriptor
      "i32", // attributeName
      "i32", // attributeType
      "i64", // requestedElementCount
      "buffer", // elementCount
      "buffer", // arrayOfElements
    ],
    result: "i32",
  },
  cudnnBackendFinalize: {
    parameters: [
      "u64", // descriptor
    ],
    result: "i32",
  },
  cudnnBackendExecute: {
    parameters: [
      "u64", // handle
      "u64", // executionPlan
      "u64", // variantPack
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of cuDNN. Each raises {@linkcode CudnnError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface CudnnCalls {
  /** `size_t cudnnGetVersion(void)` */
  cudnnGetVersion(): number;
  /** `size_t cudnnGetCudartVersion(void)` */
  cudnnGetCudartVersion(): number;
  /** `const char * cudnnGetErrorString(cudnnStatus_t status)` */
  cudnnGetErrorString(status: number): string;
  /** `void cudnnGetLastErrorString(char *message, size_t max_size)` */
  cudnnGetLastErrorString(message: BufferSource | null, max_size: number): void;
  /** `cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)` */
  cudnnCreate(handle: BufferSource | null): void;
  /** `cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)` */
  cudnnDestroy(handle: bigint): void;
  /** `cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId)` */
  cudnnSetStream(handle: bigint, streamId: bigint): void;
  /** `cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t *streamId)` */
  cudnnGetStream(handle: bigint, streamId: BufferSource | null): void;
  /** `cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t descriptorType, cudnnBackendDescriptor_t *descriptor)` */
  cudnnBackendCreateDescriptor(descriptorType: number, descriptor: BufferSource | null): void;
  /** `cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)` */
  cudnnBackendDestroyDescriptor(descriptor: bigint): void;
  /** `cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t attributeName, cudnnBackendAttributeType_t attributeType, int64_t elementCount, const void *arrayOfElements)` */
  cudnnBackendSetAttribute(
    descriptor: bigint,
    attributeName: number,
    attributeType: number,
    elementCount: number,
    arrayOfElements: BufferSource | null,
  ): void;
  /** `cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor, cudnnBackendAttributeName_t attributeName, cudnnBackendAttributeType_t attributeType, int64_t requestedElementCount, int64_t *elementCount, void *arrayOfElements)` */
  cudnnBackendGetAttribute(
    descriptor: bigint,
    attributeName: number,
    attributeType: number,
    requestedElementCount: number,
    elementCount: BufferSource | null,
    arrayOfElements: BufferSource | null,
  ): void;
  /** `cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)` */
  cudnnBackendFinalize(descriptor: bigint): void;
  /** `cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t executionPlan, cudnnBackendDescriptor_t variantPack)` */
  cudnnBackendExecute(handle: bigint, executionPlan: bigint, variantPack: bigint): void;
}

/** Makes the checked calls from an open library. */
export function bindCudnn(
  symbols: Deno.DynamicLibrary<typeof cudnnSymbols>["symbols"],
): CudnnCalls {
  const {
    cudnnGetVersion,
    cudnnGetCudartVersion,
    cudnnGetErrorString,
    cudnnGetLastErrorString,
    cudnnCreate,
    cudnnDestroy,
    cudnnSetStream,
    cudnnGetStream,
    cudnnBackendCreateDescriptor,
    cudnnBackendDestroyDescriptor,
    cudnnBackendSetAttribute,
    cudnnBackendGetAttribute,
    cudnnBackendFinalize,
    cudnnBackendExecute,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new CudnnError({
      call,
      code,
      status: statusName(cudnnStatus_t, "cudnnStatus_t", code),
      text: lastText(cudnnGetErrorString(code), cudnnGetLastErrorString),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    cudnnGetVersion() {
      return Number(cudnnGetVersion());
    },
    cudnnGetCudartVersion() {
      return Number(cudnnGetCudartVersion());
    },
    cudnnGetErrorString(status) {
      return readCString(cudnnGetErrorString(status));
    },
    cudnnGetLastErrorString(message, max_size) {
      u32[0] = max_size;
      u32[1] = max_size / 4294967296;
      cudnnGetLastErrorString(message, u64[0]);
    },
    cudnnCreate(handle) {
      const code = cudnnCreate(handle);
      if (code !== 0) fail("cudnnCreate", code);
    },
    cudnnDestroy(handle) {
      const code = cudnnDestroy(handle);
      if (code !== 0) fail("cudnnDestroy", code);
    },
    cudnnSetStream(handle, streamId) {
      const code = cudnnSetStream(handle, streamId);
      if (code !== 0) fail("cudnnSetStream", code);
    },
    cudnnGetStream(handle, streamId) {
      const code = cudnnGetStream(handle, streamId);
      if (code !== 0) fail("cudnnGetStream", code);
    },
    cudnnBackendCreateDescriptor(descriptorType, descriptor) {
      const code = cudnnBackendCreateDescriptor(descriptorType, descriptor);
      if (code !== 0) fail("cudnnBackendCreateDescriptor", code);
    },
    cudnnBackendDestroyDescriptor(descriptor) {
      const code = cudnnBackendDestroyDescriptor(descriptor);
      if (code !== 0) fail("cudnnBackendDestroyDescriptor", code);
    },
    cudnnBackendSetAttribute(
      descriptor,
      attributeName,
      attributeType,
      elementCount,
      arrayOfElements,
    ) {
      const code = cudnnBackendSetAttribute(
        descriptor,
        attributeName,
        attributeType,
        BigInt(elementCount),
        arrayOfElements,
      );
      if (code !== 0) fail("cudnnBackendSetAttribute", code);
    },
    cudnnBackendGetAttribute(
      descriptor,
      attributeName,
      attributeType,
      requestedElementCount,
      elementCount,
      arrayOfElements,
    ) {
      const code = cudnnBackendGetAttribute(
        descriptor,
        attributeName,
        attributeType,
        BigInt(requestedElementCount),
        elementCount,
        arrayOfElements,
      );
      if (code !== 0) fail("cudnnBackendGetAttribute", code);
    },
    cudnnBackendFinalize(descriptor) {
      const code = cudnnBackendFinalize(descriptor);
      if (code !== 0) fail("cudnnBackendFinalize", code);
    },
    cudnnBackendExecute(handle, executionPlan, variantPack) {
      const code = cudnnBackendExecute(handle, executionPlan, variantPack);
      if (code !== 0) fail("cudnnBackendExecute", code);
    },
  };
}
