/** Structs that the libraries take by pointer: where their fields lie, and makers for those that need more than zeros. */

/** Size of a struct and the place of its fields: offset and bytes. */
export interface StructLayout {
  /** Size in bytes. */
  readonly size: number;
  /** Offset and bytes by field. */
  readonly fields: Readonly<Record<string, readonly [offset: number, bytes: number]>>;
}

/** Layouts on 64-bit machines, by the structs' C names. */
export const structs = {
  CUmemPoolProps: {
    size: 88,
    fields: {
      allocType: [0, 4],
      handleTypes: [4, 4],
      location: [8, 8],
      win32SecurityAttributes: [16, 8],
      maxSize: [24, 8],
    },
  },
  CUlaunchConfig: {
    size: 56,
    fields: {
      gridDimX: [0, 4],
      gridDimY: [4, 4],
      gridDimZ: [8, 4],
      blockDimX: [12, 4],
      blockDimY: [16, 4],
      blockDimZ: [20, 4],
      sharedMemBytes: [24, 4],
      hStream: [32, 8],
      attrs: [40, 8],
      numAttrs: [48, 4],
    },
  },
  CUlaunchAttribute: { size: 72, fields: { id: [0, 4], value: [8, 64] } },
  CUgraphExecUpdateResultInfo: {
    size: 24,
    fields: { result: [0, 4], errorNode: [8, 8], errorFromNode: [16, 8] },
  },
  CUDA_GRAPH_INSTANTIATE_PARAMS: {
    size: 32,
    fields: { flags: [0, 8], hUploadStream: [8, 8], hErrNode_out: [16, 8], result_out: [24, 4] },
  },
  CUDA_KERNEL_NODE_PARAMS: {
    size: 72,
    fields: {
      func: [0, 8],
      gridDimX: [8, 4],
      gridDimY: [12, 4],
      gridDimZ: [16, 4],
      blockDimX: [20, 4],
      blockDimY: [24, 4],
      blockDimZ: [28, 4],
      sharedMemBytes: [32, 4],
      kernelParams: [40, 8],
      extra: [48, 8],
    },
  },
  CUuuid: { size: 16, fields: { bytes: [0, 16] } },
  CUipcMemHandle: { size: 64, fields: { reserved: [0, 64] } },
  cublasLtMatmulAlgo_t: { size: 64, fields: { data: [0, 64] } },
  cublasLtMatmulHeuristicResult_t: {
    size: 96,
    fields: { algo: [0, 64], workspaceSize: [64, 8], state: [72, 4], wavesCount: [76, 4] },
  },
  ncclUniqueId: { size: 128, fields: { internal: [0, 128] } },
  ncclConfig_t: {
    size: 96,
    fields: {
      size: [0, 8],
      magic: [8, 4],
      version: [12, 4],
      blocking: [16, 4],
      cgaClusterSize: [20, 4],
      minCTAs: [24, 4],
      maxCTAs: [28, 4],
      netName: [32, 8],
      splitShare: [40, 4],
      trafficClass: [44, 4],
      commName: [48, 8],
      collnetEnable: [56, 4],
      CTAPolicy: [60, 4],
      shrinkShare: [64, 4],
      nvlsCTAs: [68, 4],
      nChannelsPerNetPeer: [72, 4],
      nvlinkCentricSched: [76, 4],
      graphUsageMode: [80, 4],
      numRmaCtx: [84, 4],
      maxP2pPeers: [88, 4],
      graphStreamOrdering: [92, 4],
    },
  },
  nvmlMemory_t: { size: 24, fields: { total: [0, 8], free: [8, 8], used: [16, 8] } },
  nvmlUtilization_t: { size: 8, fields: { gpu: [0, 4], memory: [4, 4] } },
} as const satisfies Readonly<Record<string, StructLayout>>;

const LITTLE = true;

/** Marks an `ncclConfig_t`. */
const NCCL_MAGIC = 0xcafebeef;

/** The NCCL version whose `ncclConfig_t` has the layout above. */
const NCCL_CONFIG_VERSION = 23007;

/** Settings of a communicator; what is left out takes NCCL's default. */
export interface NcclConfig {
  /** 0: calls answer `ncclInProgress` instead of waiting. */
  readonly blocking?: number;
  /** Fewest blocks of a collective. */
  readonly minCTAs?: number;
  /** Most blocks of a collective. */
  readonly maxCTAs?: number;
  /** Whether a split communicator shares resources with its parent. */
  readonly splitShare?: number;
}

/**
 * An `ncclConfig_t`.
 *
 * @param version What `ncclGetVersion` answered; an older library ignores the fields that it does not know
 * @param config Settings
 */
export function ncclConfig(version: number, config: NcclConfig = {}): Uint8Array<ArrayBuffer> {
  const { size, fields } = structs.ncclConfig_t;
  const bytes = new Uint8Array(size), view = new DataView(bytes.buffer);
  // NCCL's mark for an int that is not set; pointers that are not set are null.
  for (const [offset, length] of Object.values(fields)) {
    if (length === 4) view.setInt32(offset, -0x80000000, LITTLE);
  }
  view.setBigUint64(fields.size[0], BigInt(size), LITTLE);
  view.setUint32(fields.magic[0], NCCL_MAGIC, LITTLE);
  view.setUint32(fields.version[0], Math.min(version, NCCL_CONFIG_VERSION), LITTLE);
  for (const name of ["blocking", "minCTAs", "maxCTAs", "splitShare"] as const) {
    const value = config[name];
    if (value !== undefined) view.setInt32(fields[name][0], value, LITTLE);
  }
  return bytes;
}

/**
 * The properties of a memory pool on a device.
 *
 * @param device Index of the device
 * @param maxSize Most bytes of the pool; 0 for no limit
 */
export function memPoolProps(device: number, maxSize: number = 0): Uint8Array<ArrayBuffer> {
  const { size, fields } = structs.CUmemPoolProps;
  const bytes = new Uint8Array(size), view = new DataView(bytes.buffer);
  view.setInt32(fields.allocType[0], 1, LITTLE); // CU_MEM_ALLOCATION_TYPE_PINNED
  view.setInt32(fields.location[0], 1, LITTLE); // CU_MEM_LOCATION_TYPE_DEVICE
  view.setInt32(fields.location[0] + 4, device, LITTLE);
  view.setBigUint64(fields.maxSize[0], BigInt(maxSize), LITTLE);
  return bytes;
}
