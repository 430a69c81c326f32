/**
 * NCCL: symbols as nccl.h declares them, and a checked wrapper for each. Sizes and pointers into device memory are numbers, handles and host addresses are bigints, results come
 * back in the buffers that the C function takes. Written by tools/ffi_headers.ts from the header; do not edit.
 */
import { missingSymbol, NcclError, statusName } from "./errors.ts";
import { readCString } from "./memory.ts";
import { checkBytes, u32, u64 } from "./scratch.ts";
import { ncclResult_t } from "./nccl_enums.ts";

/** Symbols of NCCL. */
export const ncclSymbols = {
  ncclGetVersion: {
    parameters: [
      "buffer", // version
    ],
    result: "i32",
  },
  ncclGetErrorString: {
    parameters: [
      "i32", // result
    ],
    result: "pointer",
  },
  ncclGetLastError: {
    parameters: [
      "u64", // comm
    ],
    result: "pointer",
  },
  ncclGetUniqueId: {
    parameters: [
      "buffer", // uniqueId
    ],
    result: "i32",
  },
  ncclCommInitRank: {
    parameters: [
      "buffer", // comm
      "i32", // nranks
      {
        struct: [
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
        ],
      }, // commId
      "i32", // rank
    ],
    result: "i32",
  },
  ncclCommInitRankConfig: {
    parameters: [
      "buffer", // comm
      "i32", // nranks
      {
        struct: [
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
          "u64",
        ],
      }, // commId
      "i32", // rank
      "buffer", // config
    ],
    result: "i32",
  },
  ncclCommInitRankScalable: {
    parameters: [
      "buffer", // newcomm
      "i32", // nranks
      "i32", // myrank
      "i32", // nId
      "buffer", // commIds
      "buffer", // config
    ],
    result: "i32",
    optional: true,
  },
  ncclCommSplit: {
    parameters: [
      "u64", // comm
      "i32", // color
      "i32", // key
      "buffer", // newcomm
      "buffer", // config
    ],
    result: "i32",
  },
  ncclCommFinalize: {
    parameters: [
      "u64", // comm
    ],
    result: "i32",
  },
  ncclCommDestroy: {
    parameters: [
      "u64", // comm
    ],
    result: "i32",
  },
  ncclCommAbort: {
    parameters: [
      "u64", // comm
    ],
    result: "i32",
  },
  ncclCommGetAsyncError: {
    parameters: [
      "u64", // comm
      "buffer", // asyncError
    ],
    result: "i32",
  },
  ncclCommCount: {
    parameters: [
      "u64", // comm
      "buffer", // count
    ],
    result: "i32",
  },
  ncclCommCuDevice: {
    parameters: [
      "u64", // comm
      "buffer", // device
    ],
    result: "i32",
  },
  ncclCommUserRank: {
    parameters: [
      "u64", // comm
      "buffer", // rank
    ],
    result: "i32",
  },
  ncclAllReduce: {
    parameters: [
      "u64", // sendbuff
      "u64", // recvbuff
      "usize", // count
      "i32", // datatype
      "i32", // op
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclBroadcast: {
    parameters: [
      "u64", // sendbuff
      "u64", // recvbuff
      "usize", // count
      "i32", // datatype
      "i32", // root
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclReduce: {
    parameters: [
      "u64", // sendbuff
      "u64", // recvbuff
      "usize", // count
      "i32", // datatype
      "i32", // op
      "i32", // root
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclAllGather: {
    parameters: [
      "u64", // sendbuff
      "u64", // recvbuff
      "usize", // sendcount
      "i32", // datatype
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclReduceScatter: {
    parameters: [
      "u64", // sendbuff
      "u64", // recvbuff
      "usize", // recvcount
      "i32", // datatype
      "i32", // op
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclSend: {
    parameters: [
      "u64", // sendbuff
      "usize", // count
      "i32", // datatype
      "i32", // peer
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclRecv: {
    parameters: [
      "u64", // recvbuff
      "usize", // count
      "i32", // datatype
      "i32", // peer
      "u64", // comm
      "u64", // stream
    ],
    result: "i32",
  },
  ncclGroupStart: {
    parameters: [],
    result: "i32",
  },
  ncclGroupEnd: {
    parameters: [],
    result: "i32",
  },
  ncclRedOpCreatePreMulSum: {
    parameters: [
      "buffer", // op
      "u64", // scalar
      "i32", // datatype
      "i32", // residence
      "u64", // comm
    ],
    result: "i32",
  },
  ncclRedOpDestroy: {
    parameters: [
      "i32", // op
      "u64", // comm
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Checked calls of NCCL. Each raises {@linkcode NcclError} when the library answers an error; those that return a number return the status, for one
 * beside 0 is an answer there.
 */
export interface NcclCalls {
  /** `ncclResult_t ncclGetVersion(int *version)` */
  ncclGetVersion(version: BufferSource | null): void;
  /** `const char* ncclGetErrorString(ncclResult_t result)` */
  ncclGetErrorString(result: number): string;
  /** `const char* ncclGetLastError(ncclComm_t comm)` */
  ncclGetLastError(comm: bigint): string;
  /** `ncclResult_t ncclGetUniqueId(ncclUniqueId* uniqueId)` */
  ncclGetUniqueId(uniqueId: BufferSource | null): void;
  /** `ncclResult_t ncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank)` */
  ncclCommInitRank(
    comm: BufferSource | null,
    nranks: number,
    commId: Uint8Array<ArrayBuffer>,
    rank: number,
  ): number;
  /** `ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank, ncclConfig_t* config)` */
  ncclCommInitRankConfig(
    comm: BufferSource | null,
    nranks: number,
    commId: Uint8Array<ArrayBuffer>,
    rank: number,
    config: BufferSource | null,
  ): number;
  /** `ncclResult_t ncclCommInitRankScalable(ncclComm_t* newcomm, int nranks, int myrank, int nId, ncclUniqueId* commIds, ncclConfig_t* config)` */
  ncclCommInitRankScalable(
    newcomm: BufferSource | null,
    nranks: number,
    myrank: number,
    nId: number,
    commIds: BufferSource | null,
    config: BufferSource | null,
  ): number;
  /** `ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t *newcomm, ncclConfig_t* config)` */
  ncclCommSplit(
    comm: bigint,
    color: number,
    key: number,
    newcomm: BufferSource | null,
    config: BufferSource | null,
  ): number;
  /** `ncclResult_t ncclCommFinalize(ncclComm_t comm)` */
  ncclCommFinalize(comm: bigint): number;
  /** `ncclResult_t ncclCommDestroy(ncclComm_t comm)` */
  ncclCommDestroy(comm: bigint): number;
  /** `ncclResult_t ncclCommAbort(ncclComm_t comm)` */
  ncclCommAbort(comm: bigint): number;
  /** `ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *asyncError)` */
  ncclCommGetAsyncError(comm: bigint, asyncError: BufferSource | null): void;
  /** `ncclResult_t ncclCommCount(const ncclComm_t comm, int* count)` */
  ncclCommCount(comm: bigint, count: BufferSource | null): void;
  /** `ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int* device)` */
  ncclCommCuDevice(comm: bigint, device: BufferSource | null): void;
  /** `ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank)` */
  ncclCommUserRank(comm: bigint, rank: BufferSource | null): void;
  /** `ncclResult_t ncclAllReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)` */
  ncclAllReduce(
    sendbuff: number,
    recvbuff: number,
    count: number,
    datatype: number,
    op: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclBroadcast(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm, cudaStream_t stream)` */
  ncclBroadcast(
    sendbuff: number,
    recvbuff: number,
    count: number,
    datatype: number,
    root: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclReduce(const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream)` */
  ncclReduce(
    sendbuff: number,
    recvbuff: number,
    count: number,
    datatype: number,
    op: number,
    root: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclAllGather(const void* sendbuff, void* recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream)` */
  ncclAllGather(
    sendbuff: number,
    recvbuff: number,
    sendcount: number,
    datatype: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclReduceScatter(const void* sendbuff, void* recvbuff, size_t recvcount, ncclDataType_t datatype, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)` */
  ncclReduceScatter(
    sendbuff: number,
    recvbuff: number,
    recvcount: number,
    datatype: number,
    op: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclSend(const void* sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm, cudaStream_t stream)` */
  ncclSend(
    sendbuff: number,
    count: number,
    datatype: number,
    peer: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclRecv(void* recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm, cudaStream_t stream)` */
  ncclRecv(
    recvbuff: number,
    count: number,
    datatype: number,
    peer: number,
    comm: bigint,
    stream: bigint,
  ): number;
  /** `ncclResult_t ncclGroupStart()` */
  ncclGroupStart(): void;
  /** `ncclResult_t ncclGroupEnd()` */
  ncclGroupEnd(): number;
  /** `ncclResult_t ncclRedOpCreatePreMulSum(ncclRedOp_t *op, void *scalar, ncclDataType_t datatype, ncclScalarResidence_t residence, ncclComm_t comm)` */
  ncclRedOpCreatePreMulSum(
    op: BufferSource | null,
    scalar: bigint,
    datatype: number,
    residence: number,
    comm: bigint,
  ): void;
  /** `ncclResult_t ncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm)` */
  ncclRedOpDestroy(op: number, comm: bigint): void;
}

/** Makes the checked calls from an open library. */
export function bindNccl(symbols: Deno.DynamicLibrary<typeof ncclSymbols>["symbols"]): NcclCalls {
  const {
    ncclGetVersion,
    ncclGetErrorString,
    ncclGetLastError,
    ncclGetUniqueId,
    ncclCommInitRank,
    ncclCommInitRankConfig,
    ncclCommInitRankScalable,
    ncclCommSplit,
    ncclCommFinalize,
    ncclCommDestroy,
    ncclCommAbort,
    ncclCommGetAsyncError,
    ncclCommCount,
    ncclCommCuDevice,
    ncclCommUserRank,
    ncclAllReduce,
    ncclBroadcast,
    ncclReduce,
    ncclAllGather,
    ncclReduceScatter,
    ncclSend,
    ncclRecv,
    ncclGroupStart,
    ncclGroupEnd,
    ncclRedOpCreatePreMulSum,
    ncclRedOpDestroy,
  } = symbols;
  const fail = (call: string, code: number): never => {
    throw new NcclError({
      call,
      code,
      status: statusName(ncclResult_t, "ncclResult_t", code),
      text: [readCString(ncclGetErrorString(code)), readCString(ncclGetLastError(0n))]
        .filter((text) => text !== "").join(": "),
    });
  };
  // A function of its own for each symbol: a shared body would make every call slow.
  return {
    ncclGetVersion(version) {
      const code = ncclGetVersion(version);
      if (code !== 0) fail("ncclGetVersion", code);
    },
    ncclGetErrorString(result) {
      return readCString(ncclGetErrorString(result));
    },
    ncclGetLastError(comm) {
      return readCString(ncclGetLastError(comm));
    },
    ncclGetUniqueId(uniqueId) {
      const code = ncclGetUniqueId(uniqueId);
      if (code !== 0) fail("ncclGetUniqueId", code);
    },
    ncclCommInitRank(comm, nranks, commId, rank) {
      checkBytes("ncclCommInitRank", "commId", commId, 128);
      const code = ncclCommInitRank(comm, nranks, commId, rank);
      if (code !== 0 && code !== 7) fail("ncclCommInitRank", code);
      return code;
    },
    ncclCommInitRankConfig(comm, nranks, commId, rank, config) {
      checkBytes("ncclCommInitRankConfig", "commId", commId, 128);
      const code = ncclCommInitRankConfig(comm, nranks, commId, rank, config);
      if (code !== 0 && code !== 7) fail("ncclCommInitRankConfig", code);
      return code;
    },
    ncclCommInitRankScalable(newcomm, nranks, myrank, nId, commIds, config) {
      if (ncclCommInitRankScalable === null) missingSymbol("NCCL", "ncclCommInitRankScalable");
      const code = ncclCommInitRankScalable(newcomm, nranks, myrank, nId, commIds, config);
      if (code !== 0 && code !== 7) fail("ncclCommInitRankScalable", code);
      return code;
    },
    ncclCommSplit(comm, color, key, newcomm, config) {
      const code = ncclCommSplit(comm, color, key, newcomm, config);
      if (code !== 0 && code !== 7) fail("ncclCommSplit", code);
      return code;
    },
    ncclCommFinalize(comm) {
      const code = ncclCommFinalize(comm);
      if (code !== 0 && code !== 7) fail("ncclCommFinalize", code);
      return code;
    },
    ncclCommDestroy(comm) {
      const code = ncclCommDestroy(comm);
      if (code !== 0 && code !== 7) fail("ncclCommDestroy", code);
      return code;
    },
    ncclCommAbort(comm) {
      const code = ncclCommAbort(comm);
      if (code !== 0 && code !== 7) fail("ncclCommAbort", code);
      return code;
    },
    ncclCommGetAsyncError(comm, asyncError) {
      const code = ncclCommGetAsyncError(comm, asyncError);
      if (code !== 0) fail("ncclCommGetAsyncError", code);
    },
    ncclCommCount(comm, count) {
      const code = ncclCommCount(comm, count);
      if (code !== 0) fail("ncclCommCount", code);
    },
    ncclCommCuDevice(comm, device) {
      const code = ncclCommCuDevice(comm, device);
      if (code !== 0) fail("ncclCommCuDevice", code);
    },
    ncclCommUserRank(comm, rank) {
      const code = ncclCommUserRank(comm, rank);
      if (code !== 0) fail("ncclCommUserRank", code);
    },
    ncclAllReduce(sendbuff, recvbuff, count, datatype, op, comm, stream) {
      u32[0] = sendbuff;
      u32[1] = sendbuff / 4294967296;
      u32[2] = recvbuff;
      u32[3] = recvbuff / 4294967296;
      u32[4] = count;
      u32[5] = count / 4294967296;
      const code = ncclAllReduce(u64[0], u64[1], u64[2], datatype, op, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclAllReduce", code);
      return code;
    },
    ncclBroadcast(sendbuff, recvbuff, count, datatype, root, comm, stream) {
      u32[0] = sendbuff;
      u32[1] = sendbuff / 4294967296;
      u32[2] = recvbuff;
      u32[3] = recvbuff / 4294967296;
      u32[4] = count;
      u32[5] = count / 4294967296;
      const code = ncclBroadcast(u64[0], u64[1], u64[2], datatype, root, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclBroadcast", code);
      return code;
    },
    ncclReduce(sendbuff, recvbuff, count, datatype, op, root, comm, stream) {
      u32[0] = sendbuff;
      u32[1] = sendbuff / 4294967296;
      u32[2] = recvbuff;
      u32[3] = recvbuff / 4294967296;
      u32[4] = count;
      u32[5] = count / 4294967296;
      const code = ncclReduce(u64[0], u64[1], u64[2], datatype, op, root, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclReduce", code);
      return code;
    },
    ncclAllGather(sendbuff, recvbuff, sendcount, datatype, comm, stream) {
      u32[0] = sendbuff;
      u32[1] = sendbuff / 4294967296;
      u32[2] = recvbuff;
      u32[3] = recvbuff / 4294967296;
      u32[4] = sendcount;
      u32[5] = sendcount / 4294967296;
      const code = ncclAllGather(u64[0], u64[1], u64[2], datatype, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclAllGather", code);
      return code;
    },
    ncclReduceScatter(sendbuff, recvbuff, recvcount, datatype, op, comm, stream) {
      u32[0] = sendbuff;
      u32[1] = sendbuff / 4294967296;
      u32[2] = recvbuff;
      u32[3] = recvbuff / 4294967296;
      u32[4] = recvcount;
      u32[5] = recvcount / 4294967296;
      const code = ncclReduceScatter(u64[0], u64[1], u64[2], datatype, op, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclReduceScatter", code);
      return code;
    },
    ncclSend(sendbuff, count, datatype, peer, comm, stream) {
      u32[0] = sendbuff;
      u32[1] = sendbuff / 4294967296;
      u32[2] = count;
      u32[3] = count / 4294967296;
      const code = ncclSend(u64[0], u64[1], datatype, peer, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclSend", code);
      return code;
    },
    ncclRecv(recvbuff, count, datatype, peer, comm, stream) {
      u32[0] = recvbuff;
      u32[1] = recvbuff / 4294967296;
      u32[2] = count;
      u32[3] = count / 4294967296;
      const code = ncclRecv(u64[0], u64[1], datatype, peer, comm, stream);
      if (code !== 0 && code !== 7) fail("ncclRecv", code);
      return code;
    },
    ncclGroupStart() {
      const code = ncclGroupStart();
      if (code !== 0) fail("ncclGroupStart", code);
    },
    ncclGroupEnd() {
      const code = ncclGroupEnd();
      if (code !== 0 && code !== 7) fail("ncclGroupEnd", code);
      return code;
    },
    ncclRedOpCreatePreMulSum(op, scalar, datatype, residence, comm) {
      const code = ncclRedOpCreatePreMulSum(op, scalar, datatype, residence, comm);
      if (code !== 0) fail("ncclRedOpCreatePreMulSum", code);
    },
    ncclRedOpDestroy(op, comm) {
      const code = ncclRedOpDestroy(op, comm);
      if (code !== 0) fail("ncclRedOpDestroy", code);
    },
  };
}
