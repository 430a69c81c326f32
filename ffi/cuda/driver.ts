/**
 * CUDA driver: symbols as cuda.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { CudaError, missingSymbol, statusName } from "./errors.ts";
import { textAt } from "./memory.ts";
import { checkBytes, u32, u64 } from "./scratch.ts";
import { CUresult } from "./driver_enums.ts";

/** Symbols of CUDA driver. */
export const driverSymbols = {
  cuInit: {
    parameters: [
      "u32", // Flags
    ],
    result: "i32",
  },
  cuDriverGetVersion: {
    parameters: [
      "buffer", // driverVersion
    ],
    result: "i32",
  },
  cuGetErrorString: {
    parameters: [
      "i32", // error
      "buffer", // pStr
    ],
    result: "i32",
  },
  cuDeviceGet: {
    parameters: [
      "buffer", // device
      "i32", // ordinal
    ],
    result: "i32",
  },
  cuDeviceGetCount: {
    parameters: [
      "buffer", // count
    ],
    result: "i32",
  },
  cuDeviceGetName: {
    parameters: [
      "buffer", // name
      "i32", // len
      "i32", // dev
    ],
    result: "i32",
  },
  cuDeviceGetUuid_v2: {
    parameters: [
      "buffer", // uuid
      "i32", // dev
    ],
    result: "i32",
  },
  cuDeviceTotalMem_v2: {
    parameters: [
      "buffer", // bytes
      "i32", // dev
    ],
    result: "i32",
  },
  cuDeviceGetAttribute: {
    parameters: [
      "buffer", // pi
      "i32", // attrib
      "i32", // dev
    ],
    result: "i32",
  },
  cuDeviceGetPCIBusId: {
    parameters: [
      "buffer", // pciBusId
      "i32", // len
      "i32", // dev
    ],
    result: "i32",
  },
  cuDevicePrimaryCtxRetain: {
    parameters: [
      "buffer", // pctx
      "i32", // dev
    ],
    result: "i32",
  },
  cuDevicePrimaryCtxRelease_v2: {
    parameters: [
      "i32", // dev
    ],
    result: "i32",
  },
  cuDevicePrimaryCtxSetFlags_v2: {
    parameters: [
      "i32", // dev
      "u32", // flags
    ],
    result: "i32",
  },
  cuCtxSetCurrent: {
    parameters: [
      "u64", // ctx
    ],
    result: "i32",
  },
  cuCtxGetCurrent: {
    parameters: [
      "buffer", // pctx
    ],
    result: "i32",
  },
  cuCtxSynchronize: {
    parameters: [],
    result: "i32",
  },
  cuCtxGetStreamPriorityRange: {
    parameters: [
      "buffer", // leastPriority
      "buffer", // greatestPriority
    ],
    result: "i32",
  },
  cuCtxEnablePeerAccess: {
    parameters: [
      "u64", // peerContext
      "u32", // Flags
    ],
    result: "i32",
  },
  cuDeviceCanAccessPeer: {
    parameters: [
      "buffer", // canAccessPeer
      "i32", // dev
      "i32", // peerDev
    ],
    result: "i32",
  },
  cuModuleLoadData: {
    parameters: [
      "buffer", // module
      "buffer", // image
    ],
    result: "i32",
  },
  cuModuleLoadDataEx: {
    parameters: [
      "buffer", // module
      "buffer", // image
      "u32", // numOptions
      "buffer", // options
      "buffer", // optionValues
    ],
    result: "i32",
  },
  cuModuleUnload: {
    parameters: [
      "u64", // hmod
    ],
    result: "i32",
  },
  cuModuleGetFunction: {
    parameters: [
      "buffer", // hfunc
      "u64", // hmod
      "buffer", // name
    ],
    result: "i32",
  },
  cuModuleGetGlobal_v2: {
    parameters: [
      "buffer", // dptr
      "buffer", // bytes
      "u64", // hmod
      "buffer", // name
    ],
    result: "i32",
  },
  cuFuncGetAttribute: {
    parameters: [
      "buffer", // pi
      "i32", // attrib
      "u64", // hfunc
    ],
    result: "i32",
  },
  cuFuncSetAttribute: {
    parameters: [
      "u64", // hfunc
      "i32", // attrib
      "i32", // value
    ],
    result: "i32",
  },
  cuFuncLoad: {
    parameters: [
      "u64", // function
    ],
    result: "i32",
    optional: true,
  },
  cuLaunchKernel: {
    parameters: [
      "u64", // f
      "u32", // gridDimX
      "u32", // gridDimY
      "u32", // gridDimZ
      "u32", // blockDimX
      "u32", // blockDimY
      "u32", // blockDimZ
      "u32", // sharedMemBytes
      "u64", // hStream
      "u64", // kernelParams
      "u64", // extra
    ],
    result: "i32",
  },
  cuLaunchKernelEx: {
    parameters: [
      "buffer", // config
      "u64", // f
      "u64", // kernelParams
      "u64", // extra
    ],
    result: "i32",
  },
  cuLaunchCooperativeKernel: {
    parameters: [
      "u64", // f
      "u32", // gridDimX
      "u32", // gridDimY
      "u32", // gridDimZ
      "u32", // blockDimX
      "u32", // blockDimY
      "u32", // blockDimZ
      "u32", // sharedMemBytes
      "u64", // hStream
      "u64", // kernelParams
    ],
    result: "i32",
  },
  cuOccupancyMaxActiveBlocksPerMultiprocessor: {
    parameters: [
      "buffer", // numBlocks
      "u64", // func
      "i32", // blockSize
      "usize", // dynamicSMemSize
    ],
    result: "i32",
  },
  cuMemGetInfo_v2: {
    parameters: [
      "buffer", // free
      "buffer", // total
    ],
    result: "i32",
  },
  cuMemAlloc_v2: {
    parameters: [
      "buffer", // dptr
      "usize", // bytesize
    ],
    result: "i32",
  },
  cuMemFree_v2: {
    parameters: [
      "u64", // dptr
    ],
    result: "i32",
  },
  cuMemAllocAsync: {
    parameters: [
      "buffer", // dptr
      "usize", // bytesize
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemFreeAsync: {
    parameters: [
      "u64", // dptr
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemAllocFromPoolAsync: {
    parameters: [
      "buffer", // dptr
      "usize", // bytesize
      "u64", // pool
      "u64", // hStream
    ],
    result: "i32",
  },
  cuDeviceGetDefaultMemPool: {
    parameters: [
      "buffer", // pool_out
      "i32", // dev
    ],
    result: "i32",
  },
  cuMemPoolCreate: {
    parameters: [
      "buffer", // pool
      "buffer", // poolProps
    ],
    result: "i32",
  },
  cuMemPoolDestroy: {
    parameters: [
      "u64", // pool
    ],
    result: "i32",
  },
  cuMemPoolTrimTo: {
    parameters: [
      "u64", // pool
      "usize", // minBytesToKeep
    ],
    result: "i32",
  },
  cuMemPoolSetAttribute: {
    parameters: [
      "u64", // pool
      "i32", // attr
      "buffer", // value
    ],
    result: "i32",
  },
  cuMemPoolGetAttribute: {
    parameters: [
      "u64", // pool
      "i32", // attr
      "buffer", // value
    ],
    result: "i32",
  },
  cuMemHostAlloc: {
    parameters: [
      "buffer", // pp
      "usize", // bytesize
      "u32", // Flags
    ],
    result: "i32",
  },
  cuMemFreeHost: {
    parameters: [
      "u64", // p
    ],
    result: "i32",
  },
  cuMemHostRegister_v2: {
    parameters: [
      "u64", // p
      "usize", // bytesize
      "u32", // Flags
    ],
    result: "i32",
  },
  cuMemHostUnregister: {
    parameters: [
      "u64", // p
    ],
    result: "i32",
  },
  cuMemHostGetDevicePointer_v2: {
    parameters: [
      "buffer", // pdptr
      "u64", // p
      "u32", // Flags
    ],
    result: "i32",
  },
  cuPointerGetAttribute: {
    parameters: [
      "buffer", // data
      "i32", // attribute
      "u64", // ptr
    ],
    result: "i32",
  },
  cuMemcpyHtoD_v2: {
    parameters: [
      "u64", // dstDevice
      "buffer", // srcHost
      "usize", // ByteCount
    ],
    result: "i32",
  },
  cuMemcpyDtoH_v2: {
    parameters: [
      "buffer", // dstHost
      "u64", // srcDevice
      "usize", // ByteCount
    ],
    result: "i32",
  },
  cuMemcpyDtoD_v2: {
    parameters: [
      "u64", // dstDevice
      "u64", // srcDevice
      "usize", // ByteCount
    ],
    result: "i32",
  },
  cuMemcpyHtoDAsync_v2: {
    parameters: [
      "u64", // dstDevice
      "buffer", // srcHost
      "usize", // ByteCount
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemcpyDtoHAsync_v2: {
    parameters: [
      "buffer", // dstHost
      "u64", // srcDevice
      "usize", // ByteCount
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemcpyDtoDAsync_v2: {
    parameters: [
      "u64", // dstDevice
      "u64", // srcDevice
      "usize", // ByteCount
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemcpyPeerAsync: {
    parameters: [
      "u64", // dstDevice
      "u64", // dstContext
      "u64", // srcDevice
      "u64", // srcContext
      "usize", // ByteCount
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemcpy2DAsync_v2: {
    parameters: [
      "buffer", // pCopy
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemsetD8Async: {
    parameters: [
      "u64", // dstDevice
      "u8", // uc
      "usize", // N
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemsetD16Async: {
    parameters: [
      "u64", // dstDevice
      "u16", // us
      "usize", // N
      "u64", // hStream
    ],
    result: "i32",
  },
  cuMemsetD32Async: {
    parameters: [
      "u64", // dstDevice
      "u32", // ui
      "usize", // N
      "u64", // hStream
    ],
    result: "i32",
  },
  cuStreamCreate: {
    parameters: [
      "buffer", // phStream
      "u32", // Flags
    ],
    result: "i32",
  },
  cuStreamCreateWithPriority: {
    parameters: [
      "buffer", // phStream
      "u32", // flags
      "i32", // priority
    ],
    result: "i32",
  },
  cuStreamDestroy_v2: {
    parameters: [
      "u64", // hStream
    ],
    result: "i32",
  },
  cuStreamSynchronize: {
    parameters: [
      "u64", // hStream
    ],
    result: "i32",
  },
  cuStreamQuery: {
    parameters: [
      "u64", // hStream
    ],
    result: "i32",
  },
  cuStreamWaitEvent: {
    parameters: [
      "u64", // hStream
      "u64", // hEvent
      "u32", // Flags
    ],
    result: "i32",
  },
  cuStreamBeginCapture_v2: {
    parameters: [
      "u64", // hStream
      "i32", // mode
    ],
    result: "i32",
  },
  cuStreamEndCapture: {
    parameters: [
      "u64", // hStream
      "buffer", // phGraph
    ],
    result: "i32",
  },
  cuStreamIsCapturing: {
    parameters: [
      "u64", // hStream
      "buffer", // captureStatus
    ],
    result: "i32",
  },
  cuThreadExchangeStreamCaptureMode: {
    parameters: [
      "buffer", // mode
    ],
    result: "i32",
  },
  cuEventCreate: {
    parameters: [
      "buffer", // phEvent
      "u32", // Flags
    ],
    result: "i32",
  },
  cuEventDestroy_v2: {
    parameters: [
      "u64", // hEvent
    ],
    result: "i32",
  },
  cuEventRecord: {
    parameters: [
      "u64", // hEvent
      "u64", // hStream
    ],
    result: "i32",
  },
  cuEventQuery: {
    parameters: [
      "u64", // hEvent
    ],
    result: "i32",
  },
  cuEventSynchronize: {
    parameters: [
      "u64", // hEvent
    ],
    result: "i32",
  },
  cuEventElapsedTime: {
    parameters: [
      "buffer", // pMilliseconds
      "u64", // hStart
      "u64", // hEnd
    ],
    result: "i32",
  },
  cuGraphCreate: {
    parameters: [
      "buffer", // phGraph
      "u32", // flags
    ],
    result: "i32",
  },
  cuGraphDestroy: {
    parameters: [
      "u64", // hGraph
    ],
    result: "i32",
  },
  cuGraphGetNodes: {
    parameters: [
      "u64", // hGraph
      "buffer", // nodes
      "buffer", // numNodes
    ],
    result: "i32",
  },
  cuGraphInstantiateWithFlags: {
    parameters: [
      "buffer", // phGraphExec
      "u64", // hGraph
      "u64", // flags
    ],
    result: "i32",
  },
  cuGraphInstantiateWithParams: {
    parameters: [
      "buffer", // phGraphExec
      "u64", // hGraph
      "buffer", // instantiateParams
    ],
    result: "i32",
  },
  cuGraphUpload: {
    parameters: [
      "u64", // hGraphExec
      "u64", // hStream
    ],
    result: "i32",
  },
  cuGraphLaunch: {
    parameters: [
      "u64", // hGraphExec
      "u64", // hStream
    ],
    result: "i32",
  },
  cuGraphExecUpdate_v2: {
    parameters: [
      "u64", // hGraphExec
      "u64", // hGraph
      "buffer", // resultInfo
    ],
    result: "i32",
  },
  cuGraphExecDestroy: {
    parameters: [
      "u64", // hGraphExec
    ],
    result: "i32",
  },
  cuGraphExecKernelNodeSetParams_v2: {
    parameters: [
      "u64", // hGraphExec
      "u64", // hNode
      "buffer", // nodeParams
    ],
    result: "i32",
  },
  cuGraphKernelNodeGetParams_v2: {
    parameters: [
      "u64", // hNode
      "buffer", // nodeParams
    ],
    result: "i32",
  },
  cuGraphNodeGetType: {
    parameters: [
      "u64", // hNode
      "buffer", // type
    ],
    result: "i32",
  },
  cuGraphDebugDotPrint: {
    parameters: [
      "u64", // hGraph
      "buffer", // path
      "u32", // flags
    ],
    result: "i32",
  },
  cuIpcGetMemHandle: {
    parameters: [
      "buffer", // pHandle
      "u64", // dptr
    ],
    result: "i32",
  },
  cuIpcOpenMemHandle_v2: {
    parameters: [
      "buffer", // pdptr
      { struct: ["u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64"] }, // handle
      "u32", // Flags
    ],
    result: "i32",
  },
  cuIpcCloseMemHandle: {
    parameters: [
      "u64", // dptr
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of CUDA driver. Each raises {@linkcode CudaError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface DriverCalls {
  /** `CUresult cuInit(unsigned int Flags)` */
  cuInit(Flags: number): void;
  /** `CUresult cuDriverGetVersion(int *driverVersion)` */
  cuDriverGetVersion(driverVersion: BufferSource | null): void;
  /** `CUresult cuGetErrorString(CUresult error, const char **pStr)` */
  cuGetErrorString(error: number, pStr: BufferSource | null): void;
  /** `CUresult cuDeviceGet(CUdevice *device, int ordinal)` */
  cuDeviceGet(device: BufferSource | null, ordinal: number): void;
  /** `CUresult cuDeviceGetCount(int *count)` */
  cuDeviceGetCount(count: BufferSource | null): void;
  /** `CUresult cuDeviceGetName(char *name, int len, CUdevice dev)` */
  cuDeviceGetName(name: BufferSource | null, len: number, dev: number): void;
  /** `CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice dev)` */
  cuDeviceGetUuid(uuid: BufferSource | null, dev: number): void;
  /** `CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice dev)` */
  cuDeviceTotalMem(bytes: BufferSource | null, dev: number): void;
  /** `CUresult cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice dev)` */
  cuDeviceGetAttribute(pi: BufferSource | null, attrib: number, dev: number): void;
  /** `CUresult cuDeviceGetPCIBusId(char *pciBusId, int len, CUdevice dev)` */
  cuDeviceGetPCIBusId(pciBusId: BufferSource | null, len: number, dev: number): void;
  /** `CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev)` */
  cuDevicePrimaryCtxRetain(pctx: BufferSource | null, dev: number): void;
  /** `CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev)` */
  cuDevicePrimaryCtxRelease(dev: number): void;
  /** `CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags)` */
  cuDevicePrimaryCtxSetFlags(dev: number, flags: number): void;
  /** `CUresult cuCtxSetCurrent(CUcontext ctx)` */
  cuCtxSetCurrent(ctx: bigint): void;
  /** `CUresult cuCtxGetCurrent(CUcontext *pctx)` */
  cuCtxGetCurrent(pctx: BufferSource | null): void;
  /** `CUresult cuCtxSynchronize(void)` */
  cuCtxSynchronize(): void;
  /** `CUresult cuCtxGetStreamPriorityRange(int *leastPriority, int *greatestPriority)` */
  cuCtxGetStreamPriorityRange(
    leastPriority: BufferSource | null,
    greatestPriority: BufferSource | null,
  ): void;
  /** `CUresult cuCtxEnablePeerAccess(CUcontext peerContext, unsigned int Flags)` */
  cuCtxEnablePeerAccess(peerContext: bigint, Flags: number): number;
  /** `CUresult cuDeviceCanAccessPeer(int *canAccessPeer, CUdevice dev, CUdevice peerDev)` */
  cuDeviceCanAccessPeer(canAccessPeer: BufferSource | null, dev: number, peerDev: number): void;
  /** `CUresult cuModuleLoadData(CUmodule *module, const void *image)` */
  cuModuleLoadData(module: BufferSource | null, image: BufferSource | null): void;
  /** `CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions, CUjit_option *options, void **optionValues)` */
  cuModuleLoadDataEx(
    module: BufferSource | null,
    image: BufferSource | null,
    numOptions: number,
    options: BufferSource | null,
    optionValues: BufferSource | null,
  ): void;
  /** `CUresult cuModuleUnload(CUmodule hmod)` */
  cuModuleUnload(hmod: bigint): void;
  /** `CUresult cuModuleGetFunction(CUfunction *hfunc, CUmodule hmod, const char *name)` */
  cuModuleGetFunction(hfunc: BufferSource | null, hmod: bigint, name: BufferSource | null): void;
  /** `CUresult cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule hmod, const char *name)` */
  cuModuleGetGlobal(
    dptr: BufferSource | null,
    bytes: BufferSource | null,
    hmod: bigint,
    name: BufferSource | null,
  ): void;
  /** `CUresult cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction hfunc)` */
  cuFuncGetAttribute(pi: BufferSource | null, attrib: number, hfunc: bigint): void;
  /** `CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value)` */
  cuFuncSetAttribute(hfunc: bigint, attrib: number, value: number): void;
  /** `CUresult cuFuncLoad(CUfunction function)` */
  cuFuncLoad(function_: bigint): void;
  /** `CUresult cuLaunchKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream, void **kernelParams, void **extra)` */
  cuLaunchKernel(
    f: bigint,
    gridDimX: number,
    gridDimY: number,
    gridDimZ: number,
    blockDimX: number,
    blockDimY: number,
    blockDimZ: number,
    sharedMemBytes: number,
    hStream: bigint,
    kernelParams: bigint,
    extra: bigint,
  ): void;
  /** `CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction f, void **kernelParams, void **extra)` */
  cuLaunchKernelEx(
    config: BufferSource | null,
    f: bigint,
    kernelParams: bigint,
    extra: bigint,
  ): void;
  /** `CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gridDimX, unsigned int gridDimY, unsigned int gridDimZ, unsigned int blockDimX, unsigned int blockDimY, unsigned int blockDimZ, unsigned int sharedMemBytes, CUstream hStream, void **kernelParams)` */
  cuLaunchCooperativeKernel(
    f: bigint,
    gridDimX: number,
    gridDimY: number,
    gridDimZ: number,
    blockDimX: number,
    blockDimY: number,
    blockDimZ: number,
    sharedMemBytes: number,
    hStream: bigint,
    kernelParams: bigint,
  ): void;
  /** `CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *numBlocks, CUfunction func, int blockSize, size_t dynamicSMemSize)` */
  cuOccupancyMaxActiveBlocksPerMultiprocessor(
    numBlocks: BufferSource | null,
    func: bigint,
    blockSize: number,
    dynamicSMemSize: number,
  ): void;
  /** `CUresult cuMemGetInfo_v2(size_t *free, size_t *total)` */
  cuMemGetInfo(free: BufferSource | null, total: BufferSource | null): void;
  /** `CUresult cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytesize)` */
  cuMemAlloc(dptr: BufferSource | null, bytesize: number): void;
  /** `CUresult cuMemFree_v2(CUdeviceptr dptr)` */
  cuMemFree(dptr: number): void;
  /** `CUresult cuMemAllocAsync(CUdeviceptr *dptr, size_t bytesize, CUstream hStream)` */
  cuMemAllocAsync(dptr: BufferSource | null, bytesize: number, hStream: bigint): void;
  /** `CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream)` */
  cuMemFreeAsync(dptr: number, hStream: bigint): void;
  /** `CUresult cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream)` */
  cuMemAllocFromPoolAsync(
    dptr: BufferSource | null,
    bytesize: number,
    pool: bigint,
    hStream: bigint,
  ): void;
  /** `CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice dev)` */
  cuDeviceGetDefaultMemPool(pool_out: BufferSource | null, dev: number): void;
  /** `CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *poolProps)` */
  cuMemPoolCreate(pool: BufferSource | null, poolProps: BufferSource | null): void;
  /** `CUresult cuMemPoolDestroy(CUmemoryPool pool)` */
  cuMemPoolDestroy(pool: bigint): void;
  /** `CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep)` */
  cuMemPoolTrimTo(pool: bigint, minBytesToKeep: number): void;
  /** `CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)` */
  cuMemPoolSetAttribute(pool: bigint, attr: number, value: BufferSource | null): void;
  /** `CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)` */
  cuMemPoolGetAttribute(pool: bigint, attr: number, value: BufferSource | null): void;
  /** `CUresult cuMemHostAlloc(void **pp, size_t bytesize, unsigned int Flags)` */
  cuMemHostAlloc(pp: BufferSource | null, bytesize: number, Flags: number): void;
  /** `CUresult cuMemFreeHost(void *p)` */
  cuMemFreeHost(p: bigint): void;
  /** `CUresult cuMemHostRegister_v2(void *p, size_t bytesize, unsigned int Flags)` */
  cuMemHostRegister(p: bigint, bytesize: number, Flags: number): void;
  /** `CUresult cuMemHostUnregister(void *p)` */
  cuMemHostUnregister(p: bigint): void;
  /** `CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int Flags)` */
  cuMemHostGetDevicePointer(pdptr: BufferSource | null, p: bigint, Flags: number): void;
  /** `CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)` */
  cuPointerGetAttribute(data: BufferSource | null, attribute: number, ptr: number): void;
  /** `CUresult cuMemcpyHtoD_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount)` */
  cuMemcpyHtoD(dstDevice: number, srcHost: BufferSource | null, ByteCount: number): void;
  /** `CUresult cuMemcpyDtoH_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount)` */
  cuMemcpyDtoH(dstHost: BufferSource | null, srcDevice: number, ByteCount: number): void;
  /** `CUresult cuMemcpyDtoD_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount)` */
  cuMemcpyDtoD(dstDevice: number, srcDevice: number, ByteCount: number): void;
  /** `CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dstDevice, const void *srcHost, size_t ByteCount, CUstream hStream)` */
  cuMemcpyHtoDAsync(
    dstDevice: number,
    srcHost: BufferSource | null,
    ByteCount: number,
    hStream: bigint,
  ): void;
  /** `CUresult cuMemcpyDtoHAsync_v2(void *dstHost, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream)` */
  cuMemcpyDtoHAsync(
    dstHost: BufferSource | null,
    srcDevice: number,
    ByteCount: number,
    hStream: bigint,
  ): void;
  /** `CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dstDevice, CUdeviceptr srcDevice, size_t ByteCount, CUstream hStream)` */
  cuMemcpyDtoDAsync(dstDevice: number, srcDevice: number, ByteCount: number, hStream: bigint): void;
  /** `CUresult cuMemcpyPeerAsync(CUdeviceptr dstDevice, CUcontext dstContext, CUdeviceptr srcDevice, CUcontext srcContext, size_t ByteCount, CUstream hStream)` */
  cuMemcpyPeerAsync(
    dstDevice: number,
    dstContext: bigint,
    srcDevice: number,
    srcContext: bigint,
    ByteCount: number,
    hStream: bigint,
  ): void;
  /** `CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *pCopy, CUstream hStream)` */
  cuMemcpy2DAsync(pCopy: BufferSource | null, hStream: bigint): void;
  /** `CUresult cuMemsetD8Async(CUdeviceptr dstDevice, unsigned char uc, size_t N, CUstream hStream)` */
  cuMemsetD8Async(dstDevice: number, uc: number, N: number, hStream: bigint): void;
  /** `CUresult cuMemsetD16Async(CUdeviceptr dstDevice, unsigned short us, size_t N, CUstream hStream)` */
  cuMemsetD16Async(dstDevice: number, us: number, N: number, hStream: bigint): void;
  /** `CUresult cuMemsetD32Async(CUdeviceptr dstDevice, unsigned int ui, size_t N, CUstream hStream)` */
  cuMemsetD32Async(dstDevice: number, ui: number, N: number, hStream: bigint): void;
  /** `CUresult cuStreamCreate(CUstream *phStream, unsigned int Flags)` */
  cuStreamCreate(phStream: BufferSource | null, Flags: number): void;
  /** `CUresult cuStreamCreateWithPriority(CUstream *phStream, unsigned int flags, int priority)` */
  cuStreamCreateWithPriority(phStream: BufferSource | null, flags: number, priority: number): void;
  /** `CUresult cuStreamDestroy_v2(CUstream hStream)` */
  cuStreamDestroy(hStream: bigint): void;
  /** `CUresult cuStreamSynchronize(CUstream hStream)` */
  cuStreamSynchronize(hStream: bigint): void;
  /** `CUresult cuStreamQuery(CUstream hStream)` */
  cuStreamQuery(hStream: bigint): number;
  /** `CUresult cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags)` */
  cuStreamWaitEvent(hStream: bigint, hEvent: bigint, Flags: number): void;
  /** `CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode)` */
  cuStreamBeginCapture(hStream: bigint, mode: number): void;
  /** `CUresult cuStreamEndCapture(CUstream hStream, CUgraph *phGraph)` */
  cuStreamEndCapture(hStream: bigint, phGraph: BufferSource | null): void;
  /** `CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus *captureStatus)` */
  cuStreamIsCapturing(hStream: bigint, captureStatus: BufferSource | null): void;
  /** `CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)` */
  cuThreadExchangeStreamCaptureMode(mode: BufferSource | null): void;
  /** `CUresult cuEventCreate(CUevent *phEvent, unsigned int Flags)` */
  cuEventCreate(phEvent: BufferSource | null, Flags: number): void;
  /** `CUresult cuEventDestroy_v2(CUevent hEvent)` */
  cuEventDestroy(hEvent: bigint): void;
  /** `CUresult cuEventRecord(CUevent hEvent, CUstream hStream)` */
  cuEventRecord(hEvent: bigint, hStream: bigint): void;
  /** `CUresult cuEventQuery(CUevent hEvent)` */
  cuEventQuery(hEvent: bigint): number;
  /** `CUresult cuEventSynchronize(CUevent hEvent)` */
  cuEventSynchronize(hEvent: bigint): void;
  /** `CUresult cuEventElapsedTime(float *pMilliseconds, CUevent hStart, CUevent hEnd)` */
  cuEventElapsedTime(pMilliseconds: BufferSource | null, hStart: bigint, hEnd: bigint): number;
  /** `CUresult cuGraphCreate(CUgraph *phGraph, unsigned int flags)` */
  cuGraphCreate(phGraph: BufferSource | null, flags: number): void;
  /** `CUresult cuGraphDestroy(CUgraph hGraph)` */
  cuGraphDestroy(hGraph: bigint): void;
  /** `CUresult cuGraphGetNodes(CUgraph hGraph, CUgraphNode *nodes, size_t *numNodes)` */
  cuGraphGetNodes(hGraph: bigint, nodes: BufferSource | null, numNodes: BufferSource | null): void;
  /** `CUresult cuGraphInstantiateWithFlags(CUgraphExec *phGraphExec, CUgraph hGraph, unsigned long long flags)` */
  cuGraphInstantiateWithFlags(
    phGraphExec: BufferSource | null,
    hGraph: bigint,
    flags: number,
  ): void;
  /** `CUresult cuGraphInstantiateWithParams(CUgraphExec *phGraphExec, CUgraph hGraph, CUDA_GRAPH_INSTANTIATE_PARAMS *instantiateParams)` */
  cuGraphInstantiateWithParams(
    phGraphExec: BufferSource | null,
    hGraph: bigint,
    instantiateParams: BufferSource | null,
  ): void;
  /** `CUresult cuGraphUpload(CUgraphExec hGraphExec, CUstream hStream)` */
  cuGraphUpload(hGraphExec: bigint, hStream: bigint): void;
  /** `CUresult cuGraphLaunch(CUgraphExec hGraphExec, CUstream hStream)` */
  cuGraphLaunch(hGraphExec: bigint, hStream: bigint): void;
  /** `CUresult cuGraphExecUpdate_v2(CUgraphExec hGraphExec, CUgraph hGraph, CUgraphExecUpdateResultInfo *resultInfo)` */
  cuGraphExecUpdate(hGraphExec: bigint, hGraph: bigint, resultInfo: BufferSource | null): number;
  /** `CUresult cuGraphExecDestroy(CUgraphExec hGraphExec)` */
  cuGraphExecDestroy(hGraphExec: bigint): void;
  /** `CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec hGraphExec, CUgraphNode hNode, const CUDA_KERNEL_NODE_PARAMS *nodeParams)` */
  cuGraphExecKernelNodeSetParams(
    hGraphExec: bigint,
    hNode: bigint,
    nodeParams: BufferSource | null,
  ): void;
  /** `CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode hNode, CUDA_KERNEL_NODE_PARAMS *nodeParams)` */
  cuGraphKernelNodeGetParams(hNode: bigint, nodeParams: BufferSource | null): void;
  /** `CUresult cuGraphNodeGetType(CUgraphNode hNode, CUgraphNodeType *type)` */
  cuGraphNodeGetType(hNode: bigint, type: BufferSource | null): void;
  /** `CUresult cuGraphDebugDotPrint(CUgraph hGraph, const char *path, unsigned int flags)` */
  cuGraphDebugDotPrint(hGraph: bigint, path: BufferSource | null, flags: number): void;
  /** `CUresult cuIpcGetMemHandle(CUipcMemHandle *pHandle, CUdeviceptr dptr)` */
  cuIpcGetMemHandle(pHandle: BufferSource | null, dptr: number): void;
  /** `CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *pdptr, CUipcMemHandle handle, unsigned int Flags)` */
  cuIpcOpenMemHandle(
    pdptr: BufferSource | null,
    handle: Uint8Array<ArrayBuffer>,
    Flags: number,
  ): void;
  /** `CUresult cuIpcCloseMemHandle(CUdeviceptr dptr)` */
  cuIpcCloseMemHandle(dptr: number): void;
}

/** Makes the checked calls from an open library. */
export function bindDriver(
  symbols: Deno.DynamicLibrary<typeof driverSymbols>["symbols"],
): DriverCalls {
  const {
    cuInit,
    cuDriverGetVersion,
    cuGetErrorString,
    cuDeviceGet,
    cuDeviceGetCount,
    cuDeviceGetName,
    cuDeviceGetUuid_v2,
    cuDeviceTotalMem_v2,
    cuDeviceGetAttribute,
    cuDeviceGetPCIBusId,
    cuDevicePrimaryCtxRetain,
    cuDevicePrimaryCtxRelease_v2,
    cuDevicePrimaryCtxSetFlags_v2,
    cuCtxSetCurrent,
    cuCtxGetCurrent,
    cuCtxSynchronize,
    cuCtxGetStreamPriorityRange,
    cuCtxEnablePeerAccess,
    cuDeviceCanAccessPeer,
    cuModuleLoadData,
    cuModuleLoadDataEx,
    cuModuleUnload,
    cuModuleGetFunction,
    cuModuleGetGlobal_v2,
    cuFuncGetAttribute,
    cuFuncSetAttribute,
    cuFuncLoad,
    cuLaunchKernel,
    cuLaunchKernelEx,
    cuLaunchCooperativeKernel,
    cuOccupancyMaxActiveBlocksPerMultiprocessor,
    cuMemGetInfo_v2,
    cuMemAlloc_v2,
    cuMemFree_v2,
    cuMemAllocAsync,
    cuMemFreeAsync,
    cuMemAllocFromPoolAsync,
    cuDeviceGetDefaultMemPool,
    cuMemPoolCreate,
    cuMemPoolDestroy,
    cuMemPoolTrimTo,
    cuMemPoolSetAttribute,
    cuMemPoolGetAttribute,
    cuMemHostAlloc,
    cuMemFreeHost,
    cuMemHostRegister_v2,
    cuMemHostUnregister,
    cuMemHostGetDevicePointer_v2,
    cuPointerGetAttribute,
    cuMemcpyHtoD_v2,
    cuMemcpyDtoH_v2,
    cuMemcpyDtoD_v2,
    cuMemcpyHtoDAsync_v2,
    cuMemcpyDtoHAsync_v2,
    cuMemcpyDtoDAsync_v2,
    cuMemcpyPeerAsync,
    cuMemcpy2DAsync_v2,
    cuMemsetD8Async,
    cuMemsetD16Async,
    cuMemsetD32Async,
    cuStreamCreate,
    cuStreamCreateWithPriority,
    cuStreamDestroy_v2,
    cuStreamSynchronize,
    cuStreamQuery,
    cuStreamWaitEvent,
    cuStreamBeginCapture_v2,
    cuStreamEndCapture,
    cuStreamIsCapturing,
    cuThreadExchangeStreamCaptureMode,
    cuEventCreate,
    cuEventDestroy_v2,
    cuEventRecord,
    cuEventQuery,
    cuEventSynchronize,
    cuEventElapsedTime,
    cuGraphCreate,
    cuGraphDestroy,
    cuGraphGetNodes,
    cuGraphInstantiateWithFlags,
    cuGraphInstantiateWithParams,
    cuGraphUpload,
    cuGraphLaunch,
    cuGraphExecUpdate_v2,
    cuGraphExecDestroy,
    cuGraphExecKernelNodeSetParams_v2,
    cuGraphKernelNodeGetParams_v2,
    cuGraphNodeGetType,
    cuGraphDebugDotPrint,
    cuIpcGetMemHandle,
    cuIpcOpenMemHandle_v2,
    cuIpcCloseMemHandle,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new CudaError({
      call,
      code,
      status: statusName(CUresult, "CUresult", code),
      text: textAt(cuGetErrorString, code),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    cuInit(Flags) {
      const code = cuInit(Flags);
      if (code !== 0) fail("cuInit", code);
    },
    cuDriverGetVersion(driverVersion) {
      const code = cuDriverGetVersion(driverVersion);
      if (code !== 0) fail("cuDriverGetVersion", code);
    },
    cuGetErrorString(error, pStr) {
      const code = cuGetErrorString(error, pStr);
      if (code !== 0) fail("cuGetErrorString", code);
    },
    cuDeviceGet(device, ordinal) {
      const code = cuDeviceGet(device, ordinal);
      if (code !== 0) fail("cuDeviceGet", code);
    },
    cuDeviceGetCount(count) {
      const code = cuDeviceGetCount(count);
      if (code !== 0) fail("cuDeviceGetCount", code);
    },
    cuDeviceGetName(name, len, dev) {
      const code = cuDeviceGetName(name, len, dev);
      if (code !== 0) fail("cuDeviceGetName", code);
    },
    cuDeviceGetUuid(uuid, dev) {
      const code = cuDeviceGetUuid_v2(uuid, dev);
      if (code !== 0) fail("cuDeviceGetUuid", code);
    },
    cuDeviceTotalMem(bytes, dev) {
      const code = cuDeviceTotalMem_v2(bytes, dev);
      if (code !== 0) fail("cuDeviceTotalMem", code);
    },
    cuDeviceGetAttribute(pi, attrib, dev) {
      const code = cuDeviceGetAttribute(pi, attrib, dev);
      if (code !== 0) fail("cuDeviceGetAttribute", code);
    },
    cuDeviceGetPCIBusId(pciBusId, len, dev) {
      const code = cuDeviceGetPCIBusId(pciBusId, len, dev);
      if (code !== 0) fail("cuDeviceGetPCIBusId", code);
    },
    cuDevicePrimaryCtxRetain(pctx, dev) {
      const code = cuDevicePrimaryCtxRetain(pctx, dev);
      if (code !== 0) fail("cuDevicePrimaryCtxRetain", code);
    },
    cuDevicePrimaryCtxRelease(dev) {
      const code = cuDevicePrimaryCtxRelease_v2(dev);
      if (code !== 0) fail("cuDevicePrimaryCtxRelease", code);
    },
    cuDevicePrimaryCtxSetFlags(dev, flags) {
      const code = cuDevicePrimaryCtxSetFlags_v2(dev, flags);
      if (code !== 0) fail("cuDevicePrimaryCtxSetFlags", code);
    },
    cuCtxSetCurrent(ctx) {
      const code = cuCtxSetCurrent(ctx);
      if (code !== 0) fail("cuCtxSetCurrent", code);
    },
    cuCtxGetCurrent(pctx) {
      const code = cuCtxGetCurrent(pctx);
      if (code !== 0) fail("cuCtxGetCurrent", code);
    },
    cuCtxSynchronize() {
      const code = cuCtxSynchronize();
      if (code !== 0) fail("cuCtxSynchronize", code);
    },
    cuCtxGetStreamPriorityRange(leastPriority, greatestPriority) {
      const code = cuCtxGetStreamPriorityRange(leastPriority, greatestPriority);
      if (code !== 0) fail("cuCtxGetStreamPriorityRange", code);
    },
    cuCtxEnablePeerAccess(peerContext, Flags) {
      const code = cuCtxEnablePeerAccess(peerContext, Flags);
      if (code !== 0 && code !== 704) fail("cuCtxEnablePeerAccess", code);
      return code;
    },
    cuDeviceCanAccessPeer(canAccessPeer, dev, peerDev) {
      const code = cuDeviceCanAccessPeer(canAccessPeer, dev, peerDev);
      if (code !== 0) fail("cuDeviceCanAccessPeer", code);
    },
    cuModuleLoadData(module, image) {
      const code = cuModuleLoadData(module, image);
      if (code !== 0) fail("cuModuleLoadData", code);
    },
    cuModuleLoadDataEx(module, image, numOptions, options, optionValues) {
      const code = cuModuleLoadDataEx(module, image, numOptions, options, optionValues);
      if (code !== 0) fail("cuModuleLoadDataEx", code);
    },
    cuModuleUnload(hmod) {
      const code = cuModuleUnload(hmod);
      if (code !== 0) fail("cuModuleUnload", code);
    },
    cuModuleGetFunction(hfunc, hmod, name) {
      const code = cuModuleGetFunction(hfunc, hmod, name);
      if (code !== 0) fail("cuModuleGetFunction", code);
    },
    cuModuleGetGlobal(dptr, bytes, hmod, name) {
      const code = cuModuleGetGlobal_v2(dptr, bytes, hmod, name);
      if (code !== 0) fail("cuModuleGetGlobal", code);
    },
    cuFuncGetAttribute(pi, attrib, hfunc) {
      const code = cuFuncGetAttribute(pi, attrib, hfunc);
      if (code !== 0) fail("cuFuncGetAttribute", code);
    },
    cuFuncSetAttribute(hfunc, attrib, value) {
      const code = cuFuncSetAttribute(hfunc, attrib, value);
      if (code !== 0) fail("cuFuncSetAttribute", code);
    },
    cuFuncLoad(function_) {
      if (cuFuncLoad === null) missingSymbol("CUDA driver", "cuFuncLoad");
      const code = cuFuncLoad(function_);
      if (code !== 0) fail("cuFuncLoad", code);
    },
    cuLaunchKernel(
      f,
      gridDimX,
      gridDimY,
      gridDimZ,
      blockDimX,
      blockDimY,
      blockDimZ,
      sharedMemBytes,
      hStream,
      kernelParams,
      extra,
    ) {
      const code = cuLaunchKernel(
        f,
        gridDimX,
        gridDimY,
        gridDimZ,
        blockDimX,
        blockDimY,
        blockDimZ,
        sharedMemBytes,
        hStream,
        kernelParams,
        extra,
      );
      if (code !== 0) fail("cuLaunchKernel", code);
    },
    cuLaunchKernelEx(config, f, kernelParams, extra) {
      const code = cuLaunchKernelEx(config, f, kernelParams, extra);
      if (code !== 0) fail("cuLaunchKernelEx", code);
    },
    cuLaunchCooperativeKernel(
      f,
      gridDimX,
      gridDimY,
      gridDimZ,
      blockDimX,
      blockDimY,
      blockDimZ,
      sharedMemBytes,
      hStream,
      kernelParams,
    ) {
      const code = cuLaunchCooperativeKernel(
        f,
        gridDimX,
        gridDimY,
        gridDimZ,
        blockDimX,
        blockDimY,
        blockDimZ,
        sharedMemBytes,
        hStream,
        kernelParams,
      );
      if (code !== 0) fail("cuLaunchCooperativeKernel", code);
    },
    cuOccupancyMaxActiveBlocksPerMultiprocessor(numBlocks, func, blockSize, dynamicSMemSize) {
      u32[0] = dynamicSMemSize;
      u32[1] = dynamicSMemSize / 4294967296;
      const code = cuOccupancyMaxActiveBlocksPerMultiprocessor(numBlocks, func, blockSize, u64[0]);
      if (code !== 0) fail("cuOccupancyMaxActiveBlocksPerMultiprocessor", code);
    },
    cuMemGetInfo(free, total) {
      const code = cuMemGetInfo_v2(free, total);
      if (code !== 0) fail("cuMemGetInfo", code);
    },
    cuMemAlloc(dptr, bytesize) {
      u32[0] = bytesize;
      u32[1] = bytesize / 4294967296;
      const code = cuMemAlloc_v2(dptr, u64[0]);
      if (code !== 0) fail("cuMemAlloc", code);
    },
    cuMemFree(dptr) {
      u32[0] = dptr;
      u32[1] = dptr / 4294967296;
      const code = cuMemFree_v2(u64[0]);
      if (code !== 0) fail("cuMemFree", code);
    },
    cuMemAllocAsync(dptr, bytesize, hStream) {
      u32[0] = bytesize;
      u32[1] = bytesize / 4294967296;
      const code = cuMemAllocAsync(dptr, u64[0], hStream);
      if (code !== 0) fail("cuMemAllocAsync", code);
    },
    cuMemFreeAsync(dptr, hStream) {
      u32[0] = dptr;
      u32[1] = dptr / 4294967296;
      const code = cuMemFreeAsync(u64[0], hStream);
      if (code !== 0) fail("cuMemFreeAsync", code);
    },
    cuMemAllocFromPoolAsync(dptr, bytesize, pool, hStream) {
      u32[0] = bytesize;
      u32[1] = bytesize / 4294967296;
      const code = cuMemAllocFromPoolAsync(dptr, u64[0], pool, hStream);
      if (code !== 0) fail("cuMemAllocFromPoolAsync", code);
    },
    cuDeviceGetDefaultMemPool(pool_out, dev) {
      const code = cuDeviceGetDefaultMemPool(pool_out, dev);
      if (code !== 0) fail("cuDeviceGetDefaultMemPool", code);
    },
    cuMemPoolCreate(pool, poolProps) {
      const code = cuMemPoolCreate(pool, poolProps);
      if (code !== 0) fail("cuMemPoolCreate", code);
    },
    cuMemPoolDestroy(pool) {
      const code = cuMemPoolDestroy(pool);
      if (code !== 0) fail("cuMemPoolDestroy", code);
    },
    cuMemPoolTrimTo(pool, minBytesToKeep) {
      u32[0] = minBytesToKeep;
      u32[1] = minBytesToKeep / 4294967296;
      const code = cuMemPoolTrimTo(pool, u64[0]);
      if (code !== 0) fail("cuMemPoolTrimTo", code);
    },
    cuMemPoolSetAttribute(pool, attr, value) {
      const code = cuMemPoolSetAttribute(pool, attr, value);
      if (code !== 0) fail("cuMemPoolSetAttribute", code);
    },
    cuMemPoolGetAttribute(pool, attr, value) {
      const code = cuMemPoolGetAttribute(pool, attr, value);
      if (code !== 0) fail("cuMemPoolGetAttribute", code);
    },
    cuMemHostAlloc(pp, bytesize, Flags) {
      u32[0] = bytesize;
      u32[1] = bytesize / 4294967296;
      const code = cuMemHostAlloc(pp, u64[0], Flags);
      if (code !== 0) fail("cuMemHostAlloc", code);
    },
    cuMemFreeHost(p) {
      const code = cuMemFreeHost(p);
      if (code !== 0) fail("cuMemFreeHost", code);
    },
    cuMemHostRegister(p, bytesize, Flags) {
      u32[0] = bytesize;
      u32[1] = bytesize / 4294967296;
      const code = cuMemHostRegister_v2(p, u64[0], Flags);
      if (code !== 0) fail("cuMemHostRegister", code);
    },
    cuMemHostUnregister(p) {
      const code = cuMemHostUnregister(p);
      if (code !== 0) fail("cuMemHostUnregister", code);
    },
    cuMemHostGetDevicePointer(pdptr, p, Flags) {
      const code = cuMemHostGetDevicePointer_v2(pdptr, p, Flags);
      if (code !== 0) fail("cuMemHostGetDevicePointer", code);
    },
    cuPointerGetAttribute(data, attribute, ptr) {
      u32[0] = ptr;
      u32[1] = ptr / 4294967296;
      const code = cuPointerGetAttribute(data, attribute, u64[0]);
      if (code !== 0) fail("cuPointerGetAttribute", code);
    },
    cuMemcpyHtoD(dstDevice, srcHost, ByteCount) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = ByteCount;
      u32[3] = ByteCount / 4294967296;
      const code = cuMemcpyHtoD_v2(u64[0], srcHost, u64[1]);
      if (code !== 0) fail("cuMemcpyHtoD", code);
    },
    cuMemcpyDtoH(dstHost, srcDevice, ByteCount) {
      u32[0] = srcDevice;
      u32[1] = srcDevice / 4294967296;
      u32[2] = ByteCount;
      u32[3] = ByteCount / 4294967296;
      const code = cuMemcpyDtoH_v2(dstHost, u64[0], u64[1]);
      if (code !== 0) fail("cuMemcpyDtoH", code);
    },
    cuMemcpyDtoD(dstDevice, srcDevice, ByteCount) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = srcDevice;
      u32[3] = srcDevice / 4294967296;
      u32[4] = ByteCount;
      u32[5] = ByteCount / 4294967296;
      const code = cuMemcpyDtoD_v2(u64[0], u64[1], u64[2]);
      if (code !== 0) fail("cuMemcpyDtoD", code);
    },
    cuMemcpyHtoDAsync(dstDevice, srcHost, ByteCount, hStream) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = ByteCount;
      u32[3] = ByteCount / 4294967296;
      const code = cuMemcpyHtoDAsync_v2(u64[0], srcHost, u64[1], hStream);
      if (code !== 0) fail("cuMemcpyHtoDAsync", code);
    },
    cuMemcpyDtoHAsync(dstHost, srcDevice, ByteCount, hStream) {
      u32[0] = srcDevice;
      u32[1] = srcDevice / 4294967296;
      u32[2] = ByteCount;
      u32[3] = ByteCount / 4294967296;
      const code = cuMemcpyDtoHAsync_v2(dstHost, u64[0], u64[1], hStream);
      if (code !== 0) fail("cuMemcpyDtoHAsync", code);
    },
    cuMemcpyDtoDAsync(dstDevice, srcDevice, ByteCount, hStream) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = srcDevice;
      u32[3] = srcDevice / 4294967296;
      u32[4] = ByteCount;
      u32[5] = ByteCount / 4294967296;
      const code = cuMemcpyDtoDAsync_v2(u64[0], u64[1], u64[2], hStream);
      if (code !== 0) fail("cuMemcpyDtoDAsync", code);
    },
    cuMemcpyPeerAsync(dstDevice, dstContext, srcDevice, srcContext, ByteCount, hStream) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = srcDevice;
      u32[3] = srcDevice / 4294967296;
      u32[4] = ByteCount;
      u32[5] = ByteCount / 4294967296;
      const code = cuMemcpyPeerAsync(u64[0], dstContext, u64[1], srcContext, u64[2], hStream);
      if (code !== 0) fail("cuMemcpyPeerAsync", code);
    },
    cuMemcpy2DAsync(pCopy, hStream) {
      const code = cuMemcpy2DAsync_v2(pCopy, hStream);
      if (code !== 0) fail("cuMemcpy2DAsync", code);
    },
    cuMemsetD8Async(dstDevice, uc, N, hStream) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = N;
      u32[3] = N / 4294967296;
      const code = cuMemsetD8Async(u64[0], uc, u64[1], hStream);
      if (code !== 0) fail("cuMemsetD8Async", code);
    },
    cuMemsetD16Async(dstDevice, us, N, hStream) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = N;
      u32[3] = N / 4294967296;
      const code = cuMemsetD16Async(u64[0], us, u64[1], hStream);
      if (code !== 0) fail("cuMemsetD16Async", code);
    },
    cuMemsetD32Async(dstDevice, ui, N, hStream) {
      u32[0] = dstDevice;
      u32[1] = dstDevice / 4294967296;
      u32[2] = N;
      u32[3] = N / 4294967296;
      const code = cuMemsetD32Async(u64[0], ui, u64[1], hStream);
      if (code !== 0) fail("cuMemsetD32Async", code);
    },
    cuStreamCreate(phStream, Flags) {
      const code = cuStreamCreate(phStream, Flags);
      if (code !== 0) fail("cuStreamCreate", code);
    },
    cuStreamCreateWithPriority(phStream, flags, priority) {
      const code = cuStreamCreateWithPriority(phStream, flags, priority);
      if (code !== 0) fail("cuStreamCreateWithPriority", code);
    },
    cuStreamDestroy(hStream) {
      const code = cuStreamDestroy_v2(hStream);
      if (code !== 0) fail("cuStreamDestroy", code);
    },
    cuStreamSynchronize(hStream) {
      const code = cuStreamSynchronize(hStream);
      if (code !== 0) fail("cuStreamSynchronize", code);
    },
    cuStreamQuery(hStream) {
      const code = cuStreamQuery(hStream);
      if (code !== 0 && code !== 600) fail("cuStreamQuery", code);
      return code;
    },
    cuStreamWaitEvent(hStream, hEvent, Flags) {
      const code = cuStreamWaitEvent(hStream, hEvent, Flags);
      if (code !== 0) fail("cuStreamWaitEvent", code);
    },
    cuStreamBeginCapture(hStream, mode) {
      const code = cuStreamBeginCapture_v2(hStream, mode);
      if (code !== 0) fail("cuStreamBeginCapture", code);
    },
    cuStreamEndCapture(hStream, phGraph) {
      const code = cuStreamEndCapture(hStream, phGraph);
      if (code !== 0) fail("cuStreamEndCapture", code);
    },
    cuStreamIsCapturing(hStream, captureStatus) {
      const code = cuStreamIsCapturing(hStream, captureStatus);
      if (code !== 0) fail("cuStreamIsCapturing", code);
    },
    cuThreadExchangeStreamCaptureMode(mode) {
      const code = cuThreadExchangeStreamCaptureMode(mode);
      if (code !== 0) fail("cuThreadExchangeStreamCaptureMode", code);
    },
    cuEventCreate(phEvent, Flags) {
      const code = cuEventCreate(phEvent, Flags);
      if (code !== 0) fail("cuEventCreate", code);
    },
    cuEventDestroy(hEvent) {
      const code = cuEventDestroy_v2(hEvent);
      if (code !== 0) fail("cuEventDestroy", code);
    },
    cuEventRecord(hEvent, hStream) {
      const code = cuEventRecord(hEvent, hStream);
      if (code !== 0) fail("cuEventRecord", code);
    },
    cuEventQuery(hEvent) {
      const code = cuEventQuery(hEvent);
      if (code !== 0 && code !== 600) fail("cuEventQuery", code);
      return code;
    },
    cuEventSynchronize(hEvent) {
      const code = cuEventSynchronize(hEvent);
      if (code !== 0) fail("cuEventSynchronize", code);
    },
    cuEventElapsedTime(pMilliseconds, hStart, hEnd) {
      const code = cuEventElapsedTime(pMilliseconds, hStart, hEnd);
      if (code !== 0 && code !== 600) fail("cuEventElapsedTime", code);
      return code;
    },
    cuGraphCreate(phGraph, flags) {
      const code = cuGraphCreate(phGraph, flags);
      if (code !== 0) fail("cuGraphCreate", code);
    },
    cuGraphDestroy(hGraph) {
      const code = cuGraphDestroy(hGraph);
      if (code !== 0) fail("cuGraphDestroy", code);
    },
    cuGraphGetNodes(hGraph, nodes, numNodes) {
      const code = cuGraphGetNodes(hGraph, nodes, numNodes);
      if (code !== 0) fail("cuGraphGetNodes", code);
    },
    cuGraphInstantiateWithFlags(phGraphExec, hGraph, flags) {
      u32[0] = flags;
      u32[1] = flags / 4294967296;
      const code = cuGraphInstantiateWithFlags(phGraphExec, hGraph, u64[0]);
      if (code !== 0) fail("cuGraphInstantiateWithFlags", code);
    },
    cuGraphInstantiateWithParams(phGraphExec, hGraph, instantiateParams) {
      const code = cuGraphInstantiateWithParams(phGraphExec, hGraph, instantiateParams);
      if (code !== 0) fail("cuGraphInstantiateWithParams", code);
    },
    cuGraphUpload(hGraphExec, hStream) {
      const code = cuGraphUpload(hGraphExec, hStream);
      if (code !== 0) fail("cuGraphUpload", code);
    },
    cuGraphLaunch(hGraphExec, hStream) {
      const code = cuGraphLaunch(hGraphExec, hStream);
      if (code !== 0) fail("cuGraphLaunch", code);
    },
    cuGraphExecUpdate(hGraphExec, hGraph, resultInfo) {
      const code = cuGraphExecUpdate_v2(hGraphExec, hGraph, resultInfo);
      if (code !== 0 && code !== 910) fail("cuGraphExecUpdate", code);
      return code;
    },
    cuGraphExecDestroy(hGraphExec) {
      const code = cuGraphExecDestroy(hGraphExec);
      if (code !== 0) fail("cuGraphExecDestroy", code);
    },
    cuGraphExecKernelNodeSetParams(hGraphExec, hNode, nodeParams) {
      const code = cuGraphExecKernelNodeSetParams_v2(hGraphExec, hNode, nodeParams);
      if (code !== 0) fail("cuGraphExecKernelNodeSetParams", code);
    },
    cuGraphKernelNodeGetParams(hNode, nodeParams) {
      const code = cuGraphKernelNodeGetParams_v2(hNode, nodeParams);
      if (code !== 0) fail("cuGraphKernelNodeGetParams", code);
    },
    cuGraphNodeGetType(hNode, type) {
      const code = cuGraphNodeGetType(hNode, type);
      if (code !== 0) fail("cuGraphNodeGetType", code);
    },
    cuGraphDebugDotPrint(hGraph, path, flags) {
      const code = cuGraphDebugDotPrint(hGraph, path, flags);
      if (code !== 0) fail("cuGraphDebugDotPrint", code);
    },
    cuIpcGetMemHandle(pHandle, dptr) {
      u32[0] = dptr;
      u32[1] = dptr / 4294967296;
      const code = cuIpcGetMemHandle(pHandle, u64[0]);
      if (code !== 0) fail("cuIpcGetMemHandle", code);
    },
    cuIpcOpenMemHandle(pdptr, handle, Flags) {
      checkBytes("cuIpcOpenMemHandle", "handle", handle, 64);
      const code = cuIpcOpenMemHandle_v2(pdptr, handle, Flags);
      if (code !== 0) fail("cuIpcOpenMemHandle", code);
    },
    cuIpcCloseMemHandle(dptr) {
      u32[0] = dptr;
      u32[1] = dptr / 4294967296;
      const code = cuIpcCloseMemHandle(u64[0]);
      if (code !== 0) fail("cuIpcCloseMemHandle", code);
    },
  };
}
