/**
 * What the bindings take from each of NVIDIA's headers. One line a function: its name as the library exports it, then what the header does not say:
 *
 * - `parameter:device` a pointer into device memory, given as a number
 * - `parameter:address` an address in host memory, given as a bigint
 * - `allow:600,7` statuses beside 0 that are answers and no errors: the wrapper returns the status
 * - `?` before the name: absent from older libraries
 */

/** Functions and enums of one library. */
export interface Wanted {
  /** File below `ffi/cuda/`, without its suffix. */
  readonly file: string;
  /** Name for people. */
  readonly library: string;
  /** Headers to read. */
  readonly headers: readonly string[];
  /** Type of the statuses, and its table. */
  readonly status: string;
  /** Class of the errors. */
  readonly error: string;
  /** Expression for what the library says about `code`; uses the symbols. */
  readonly text: string;
  /** Helpers of `text` from memory.ts. */
  readonly helpers: readonly string[];
  /** Functions, a line each. */
  readonly functions: string;
  /** Enums taken whole. */
  readonly enums: readonly string[];
}

const driver: Wanted = {
  file: "driver",
  library: "CUDA driver",
  headers: ["cuda.h"],
  status: "CUresult",
  error: "CudaError",
  text: `textAt(cuGetErrorString, code)`,
  helpers: ["textAt"],
  functions: `
    cuInit
    cuDriverGetVersion
    cuGetErrorString
    cuDeviceGet
    cuDeviceGetCount
    cuDeviceGetName
    cuDeviceGetUuid_v2
    cuDeviceTotalMem_v2
    cuDeviceGetAttribute
    cuDeviceGetPCIBusId
    cuDevicePrimaryCtxRetain
    cuDevicePrimaryCtxRelease_v2
    cuDevicePrimaryCtxSetFlags_v2
    cuCtxSetCurrent
    cuCtxGetCurrent
    cuCtxSynchronize
    cuCtxGetStreamPriorityRange
    cuCtxEnablePeerAccess allow:704
    cuDeviceCanAccessPeer
    cuModuleLoadData
    cuModuleLoadDataEx
    cuModuleUnload
    cuModuleGetFunction
    cuModuleGetGlobal_v2
    cuFuncGetAttribute
    cuFuncSetAttribute
    ?cuFuncLoad
    cuLaunchKernel kernelParams:address extra:address
    cuLaunchKernelEx kernelParams:address extra:address
    cuLaunchCooperativeKernel kernelParams:address
    cuOccupancyMaxActiveBlocksPerMultiprocessor
    cuMemGetInfo_v2
    cuMemAlloc_v2
    cuMemFree_v2
    cuMemAllocAsync
    cuMemFreeAsync
    cuMemAllocFromPoolAsync
    cuDeviceGetDefaultMemPool
    cuMemPoolCreate
    cuMemPoolDestroy
    cuMemPoolTrimTo
    cuMemPoolSetAttribute
    cuMemPoolGetAttribute
    cuMemHostAlloc
    cuMemFreeHost p:address
    cuMemHostRegister_v2 p:address
    cuMemHostUnregister p:address
    cuMemHostGetDevicePointer_v2 p:address
    cuPointerGetAttribute
    cuMemcpyHtoD_v2
    cuMemcpyDtoH_v2
    cuMemcpyDtoD_v2
    cuMemcpyHtoDAsync_v2
    cuMemcpyDtoHAsync_v2
    cuMemcpyDtoDAsync_v2
    cuMemcpyPeerAsync
    cuMemcpy2DAsync_v2
    cuMemsetD8Async
    cuMemsetD16Async
    cuMemsetD32Async
    cuStreamCreate
    cuStreamCreateWithPriority
    cuStreamDestroy_v2
    cuStreamSynchronize
    cuStreamQuery allow:600
    cuStreamWaitEvent
    cuStreamBeginCapture_v2
    cuStreamEndCapture
    cuStreamIsCapturing
    cuThreadExchangeStreamCaptureMode
    cuEventCreate
    cuEventDestroy_v2
    cuEventRecord
    cuEventQuery allow:600
    cuEventSynchronize
    cuEventElapsedTime allow:600
    cuGraphCreate
    cuGraphDestroy
    cuGraphGetNodes
    cuGraphInstantiateWithFlags
    cuGraphInstantiateWithParams
    cuGraphUpload
    cuGraphLaunch
    cuGraphExecUpdate_v2 allow:910
    cuGraphExecDestroy
    cuGraphExecKernelNodeSetParams_v2
    cuGraphKernelNodeGetParams_v2
    cuGraphNodeGetType
    cuGraphDebugDotPrint
    cuIpcGetMemHandle
    cuIpcOpenMemHandle_v2
    cuIpcCloseMemHandle
  `,
  enums: [
    "CUresult",
    "CUdevice_attribute",
    "CUfunction_attribute",
    "CUpointer_attribute",
    "CUctx_flags",
    "CUstream_flags",
    "CUevent_flags",
    "CUstreamCaptureMode",
    "CUstreamCaptureStatus",
    "CUgraphInstantiate_flags",
    "CUgraphInstantiateResult",
    "CUgraphExecUpdateResult",
    "CUgraphNodeType",
    "CUgraphDebugDot_flags",
    "CUmemPool_attribute",
    "CUmemAllocationType",
    "CUmemAllocationHandleType",
    "CUmemLocationType",
    "CUlaunchAttributeID",
    "CUjit_option",
    "CUmemorytype",
  ],
};

const nvrtc: Wanted = {
  file: "nvrtc",
  library: "NVRTC",
  headers: ["nvrtc.h"],
  status: "nvrtcResult",
  error: "NvrtcError",
  text: `readCString(nvrtcGetErrorString(code))`,
  helpers: ["readCString"],
  functions: `
    nvrtcVersion
    nvrtcGetErrorString
    nvrtcGetNumSupportedArchs
    nvrtcGetSupportedArchs
    nvrtcCreateProgram
    nvrtcDestroyProgram
    nvrtcCompileProgram allow:6
    nvrtcAddNameExpression
    nvrtcGetLoweredName
    nvrtcGetProgramLogSize
    nvrtcGetProgramLog
    nvrtcGetPTXSize
    nvrtcGetPTX
    nvrtcGetCUBINSize
    nvrtcGetCUBIN
  `,
  enums: ["nvrtcResult"],
};

const cublas: Wanted = {
  file: "cublas",
  library: "cuBLAS",
  headers: ["cublas_v2.h"],
  status: "cublasStatus_t",
  error: "CublasError",
  text: `readCString(cublasGetStatusString(code))`,
  helpers: ["readCString"],
  functions: `
    cublasGetProperty
    cublasGetStatusString
    cublasCreate_v2
    cublasDestroy_v2
    cublasSetStream_v2
    cublasGetStream_v2
    cublasSetWorkspace_v2 workspace:device
    cublasSetMathMode
    cublasGetMathMode
    cublasSetPointerMode_v2
    cublasSetAtomicsMode
    cublasGemmEx alpha:address A:device B:device beta:address C:device
    cublasGemmStridedBatchedEx alpha:address A:device B:device beta:address C:device
    cublasGemmBatchedEx alpha:address Aarray:device Barray:device beta:address Carray:device
  `,
  enums: [
    "cublasStatus_t",
    "cublasOperation_t",
    "cublasComputeType_t",
    "cublasMath_t",
    "cublasPointerMode_t",
    "cublasAtomicsMode_t",
    "cublasGemmAlgo_t",
    "cudaDataType_t",
    "libraryPropertyType_t",
  ],
};

const cublasLt: Wanted = {
  file: "cublas_lt",
  library: "cuBLASLt",
  headers: ["cublasLt.h"],
  status: "cublasStatus_t",
  error: "CublasError",
  text: `readCString(cublasLtGetStatusString(code))`,
  helpers: ["readCString"],
  functions: `
    cublasLtGetVersion
    cublasLtGetStatusString
    cublasLtCreate
    cublasLtDestroy
    cublasLtMatmulDescCreate
    cublasLtMatmulDescDestroy
    cublasLtMatmulDescSetAttribute
    cublasLtMatmulDescGetAttribute
    cublasLtMatrixLayoutCreate
    cublasLtMatrixLayoutDestroy
    cublasLtMatrixLayoutSetAttribute
    cublasLtMatrixLayoutGetAttribute
    cublasLtMatmulPreferenceCreate
    cublasLtMatmulPreferenceDestroy
    cublasLtMatmulPreferenceSetAttribute
    cublasLtMatmulPreferenceGetAttribute
    cublasLtMatmulAlgoGetHeuristic allow:15
    cublasLtMatmulAlgoCheck
    cublasLtMatmul alpha:address A:device B:device beta:address C:device D:device algo:address workspace:device
  `,
  enums: [
    "cublasLtMatmulDescAttributes_t",
    "cublasLtMatrixLayoutAttribute_t",
    "cublasLtMatmulPreferenceAttributes_t",
    "cublasLtEpilogue_t",
    "cublasLtOrder_t",
    "cublasLtPointerMode_t",
    "cublasLtReductionScheme_t",
    "cublasLtMatmulMatrixScale_t",
    "cublasLtMatmulSearch_t",
  ],
};

const cudnn: Wanted = {
  file: "cudnn",
  library: "cuDNN",
  headers: ["cudnn.h"],
  status: "cudnnStatus_t",
  error: "CudnnError",
  text: `lastText(cudnnGetErrorString(code), cudnnGetLastErrorString)`,
  helpers: ["lastText"],
  functions: `
    cudnnGetVersion
    cudnnGetCudartVersion
    cudnnGetErrorString
    cudnnGetLastErrorString
    cudnnCreate
    cudnnDestroy
    cudnnSetStream
    cudnnGetStream
    cudnnBackendCreateDescriptor
    cudnnBackendDestroyDescriptor
    cudnnBackendSetAttribute
    cudnnBackendGetAttribute
    cudnnBackendFinalize
    cudnnBackendExecute
  `,
  enums: [
    "cudnnStatus_t",
    "cudnnDataType_t",
    "cudnnBackendDescriptorType_t",
    "cudnnBackendAttributeName_t",
    "cudnnBackendAttributeType_t",
    "cudnnBackendHeurMode_t",
    "cudnnBackendNumericalNote_t",
    "cudnnBackendBehaviorNote_t",
    "cudnnBackendKnobType_t",
    "cudnnConvolutionMode_t",
    "cudnnPointwiseMode_t",
    "cudnnReduceTensorOp_t",
    "cudnnResampleMode_t",
    "cudnnPaddingMode_t",
    "cudnnNanPropagation_t",
    "cudnnBackendNormMode_t",
    "cudnnBackendNormFwdPhase_t",
    "cudnnRngDistribution_t",
  ],
};

const nccl: Wanted = {
  file: "nccl",
  library: "NCCL",
  headers: ["nccl.h"],
  status: "ncclResult_t",
  error: "NcclError",
  text: `[readCString(ncclGetErrorString(code)), readCString(ncclGetLastError(0n))]
    .filter((text) => text !== "").join(": ")`,
  helpers: ["readCString"],
  // 7 is ncclInProgress: a communicator that does not block answers it until the call is done.
  functions: `
    ncclGetVersion
    ncclGetErrorString
    ncclGetLastError
    ncclGetUniqueId
    ncclCommInitRank allow:7
    ncclCommInitRankConfig allow:7
    ?ncclCommInitRankScalable allow:7
    ncclCommSplit allow:7
    ncclCommFinalize allow:7
    ncclCommDestroy allow:7
    ncclCommAbort allow:7
    ncclCommGetAsyncError
    ncclCommCount
    ncclCommCuDevice
    ncclCommUserRank
    ncclAllReduce sendbuff:device recvbuff:device allow:7
    ncclBroadcast sendbuff:device recvbuff:device allow:7
    ncclReduce sendbuff:device recvbuff:device allow:7
    ncclAllGather sendbuff:device recvbuff:device allow:7
    ncclReduceScatter sendbuff:device recvbuff:device allow:7
    ncclSend sendbuff:device allow:7
    ncclRecv recvbuff:device allow:7
    ncclGroupStart
    ncclGroupEnd allow:7
    ncclRedOpCreatePreMulSum scalar:address
    ncclRedOpDestroy
  `,
  enums: ["ncclResult_t", "ncclDataType_t", "ncclRedOp_t", "ncclScalarResidence_t"],
};

const nvml: Wanted = {
  file: "nvml",
  library: "NVML",
  headers: ["nvml.h"],
  status: "nvmlReturn_t",
  error: "NvmlError",
  text: `readCString(nvmlErrorString(code))`,
  helpers: ["readCString"],
  functions: `
    nvmlInit_v2
    nvmlShutdown
    nvmlErrorString
    nvmlSystemGetDriverVersion
    nvmlSystemGetNVMLVersion
    nvmlDeviceGetCount_v2
    nvmlDeviceGetHandleByIndex_v2
    nvmlDeviceGetHandleByUUID
    nvmlDeviceGetHandleByPciBusId_v2
    nvmlDeviceGetName
    nvmlDeviceGetUUID
    nvmlDeviceGetMemoryInfo
    nvmlDeviceGetUtilizationRates
    nvmlDeviceGetTemperature
    nvmlDeviceGetPowerUsage
    nvmlDeviceGetClockInfo
    nvmlDeviceGetMaxClockInfo
    nvmlDeviceGetCurrentClocksThrottleReasons
  `,
  enums: ["nvmlReturn_t", "nvmlTemperatureSensors_t", "nvmlClockType_t"],
};

/** Every library, in the order in which they are opened. */
export const wanted: readonly Wanted[] = [driver, nvrtc, cublasLt, cublas, cudnn, nccl, nvml];
