/** A CUDA driver and a compiler that do nothing, quickly: for what the host does around them. */
import { driverSymbols } from "../ffi/cuda/driver.ts";
import { nvrtcSymbols } from "../ffi/cuda/nvrtc.ts";
import { buildStub } from "./ffi_stub.ts";

// Handles only have to differ from 0. Memory is the host's: pinned memory is written to.
const handle = "*(unsigned long long *)a0 = 4096; return 0;";
const memory = "*(void **)a0 = aligned_alloc(512, (a1 + 511) / 512 * 512); return 0;";
const nothing = "return 0;";

/** Bodies of the calls that are timed: they must cost nothing. */
const driverBodies = {
  cuDriverGetVersion: "*(int *)a0 = 13000; return 0;",
  cuGetErrorString: `*(const char **)a1 = "told"; return 0;`,
  cuDeviceGetCount: "*(int *)a0 = 1; return 0;",
  cuDeviceGet: "*(int *)a0 = 0; return 0;",
  cuDeviceGetName: `strcpy((char *)a0, "stub"); return 0;`,
  cuDeviceTotalMem_v2: "*(unsigned long long *)a0 = 1ull << 33; return 0;",
  // Capability 9.0, and 132 of whatever else is asked.
  cuDeviceGetAttribute:
    "*(int *)a0 = a1 == 75 ? 9 : a1 == 76 ? 0 : a1 == 97 ? 232448 : 132; return 0;",
  cuDevicePrimaryCtxRetain: handle,
  cuStreamCreate: handle,
  cuEventCreate: handle,
  cuModuleLoadData: handle,
  cuModuleGetFunction: handle,
  cuStreamEndCapture: "*(unsigned long long *)a1 = 4096; return 0;",
  cuGraphInstantiateWithFlags: handle,
  cuMemAlloc_v2: memory,
  cuMemHostAlloc: memory,
  cuMemHostGetDevicePointer_v2: "*(unsigned long long *)a0 = a1; return 0;",
  cuLaunchKernel: nothing,
  cuMemcpyDtoDAsync_v2: nothing,
  cuMemcpyHtoDAsync_v2: nothing,
  cuStreamQuery: nothing,
  cuEventRecord: nothing,
  cuStreamWaitEvent: nothing,
  cuGraphLaunch: "seen[31]++; return 0;",
};

const nvrtcBodies = {
  nvrtcVersion: "*(int *)a0 = 13; *(int *)a1 = 0; return 0;",
  nvrtcGetNumSupportedArchs: "*(int *)a0 = 1; return 0;",
  nvrtcGetSupportedArchs: "*(int *)a0 = 90; return 0;",
  nvrtcCreateProgram: handle,
  nvrtcGetProgramLogSize: "*(unsigned long long *)a1 = 1; return 0;",
  nvrtcGetPTXSize: "*(unsigned long long *)a1 = 1; return 0;",
  nvrtcGetCUBINSize: "*(unsigned long long *)a1 = 16; return 0;",
};

/** Why there can be no stubs here; undefined when there can. */
export function whyNoStubs(): string | undefined {
  if (Deno.build.os !== "linux") return "the stubs are built for Linux only";
  try {
    new Deno.Command(Deno.env.get("CC") ?? "cc", { args: ["--version"], stdout: "null" })
      .outputSync();
    return undefined;
  } catch {
    return "no C compiler (cc) on PATH";
  }
}

/** What {@linkcode useStubs} has set up. */
export interface Stubs {
  /** Why there are none. */
  readonly reason: string | undefined;
  /** Launches of graphs so far. */
  readonly graphLaunches: () => number;
  /** Removes the files; what is open stays open. */
  [Symbol.dispose](): void;
}

/** Makes this process find the stubs, and none of NVIDIA's other libraries. Nothing of CUDA may be open yet. */
export function useStubs(): Stubs {
  const folder = Deno.makeTempDirSync({ prefix: "cuda_stub" });
  const driver = `${folder}/libcuda.so.1`, nvrtc = `${folder}/libnvrtc.so.13`;
  const reason = whyNoStubs() ?? buildStub(driver, driverSymbols, driverBodies) ??
    buildStub(nvrtc, nvrtcSymbols, nvrtcBodies);
  const set = {
    PTA_CUDA_LIB: driver,
    PTA_NVRTC_LIB: nvrtc,
    PTA_CUBLAS: "off",
    PTA_CUDNN: "off",
    PTA_NCCL: "off",
    PTA_CACHE: "off",
  };
  for (const [name, value] of Object.entries(set)) Deno.env.set(name, value);
  let seen: BigInt64Array<ArrayBuffer> | undefined;
  const counts = () => {
    if (seen === undefined) {
      const symbols = { stub_seen: { parameters: [], result: "pointer" } } as const;
      const at = Deno.dlopen(driver, symbols).symbols.stub_seen()!;
      const bytes = new Deno.UnsafePointerView(at).getArrayBuffer(256) as ArrayBuffer;
      seen = new BigInt64Array(bytes);
    }
    return seen;
  };
  return {
    reason,
    graphLaunches: () => Number(counts()[31]),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}
