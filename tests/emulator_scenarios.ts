/** What tests/emulator_test.ts has an emulated device do, each in a process of its own: `deno run -A tests/emulator_scenarios.ts NAME` prints the outcome as JSON. */
import { address, compileCuda, NativeError, openDriver, openNvrtc, ParameterBlock } from "@pta/ffi";
import { prelude } from "../core/backend/cuda/prelude.ts";
import { float8Products } from "./emulator_float8.ts";
import { products } from "./emulator_products.ts";

/** What came of a scenario. */
export interface Outcome {
  /** Numbers that it read, when it ended. */
  readonly values?: number[];
  /** Name of the status with which a call failed. */
  readonly status?: string;
}

const text = `${prelude}
#define SLOTS 40
extern "C" __global__ void fill(float *x, int n, float value) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] = value;
}
extern "C" __global__ void __launch_bounds__(256) add(const float *__restrict__ x, float *__restrict__ y, i64 n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < (int)n; i += gridDim.x * blockDim.x) y[i] += x[i];
}
__device__ __forceinline__ float twice(float x) { return x + x; }
extern "C" __global__ void wholeBlock(const float *x, double *sums, u32 *counts, int threads) {
  __shared__ float part[SLOTS];
  extern __shared__ float seen[];
  const int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  seen[t] = twice(x[t]);
  __syncthreads();
  float sum = joinLanes<Sum, 32>(seen[threads - 1 - t]);
  if ((t & 31) == 0) part[t >> 5] = sum;
  __syncthreads();
  const u32 votes = __ballot_sync(0xffffffffu, x[t] > 0.5f);
  const float next = __shfl_down_sync(0xffffffffu, sum, 1);
  if (t == 0) {
    double all = 0;
    for (int i = 0; i < threads / 32; ++i) all += part[i];
    atomicAdd(sums + blockIdx.z, all);
    atomicMax(counts, (u32)(__popc(votes) + blockIdx.y + (next == sum ? 0 : 100)));
  }
}
extern "C" __global__ void uneven(float *x) {
  if (threadIdx.x < 32) __syncthreads();
  else if (threadIdx.x < 40) __syncwarp();
  x[threadIdx.x] = 1.0f;
}
extern "C" __global__ void staticShared(float *x) {
  __shared__ float large[13000];
  large[threadIdx.x] = x[0];
  __syncthreads();
  x[threadIdx.x] = large[0];
}
extern "C" __global__ void dynamicShared(float *x, int at) {
  extern __shared__ float memory[];
  memory[at] = 1.0f;
  x[0] = memory[at];
}
extern "C" __global__ void unaligned(float *x) {
  storePack<float, 4>(x + 1, loadPack<float, 4>(x));
}
`;

const { calls: driver } = openDriver(), at = new BigUint64Array(1);
driver.cuInit(0);
driver.cuDevicePrimaryCtxRetain(at, 0);
driver.cuCtxSetCurrent(at[0]);

const stream = () => (driver.cuStreamCreate(at, 1), at[0]);
const event = () => (driver.cuEventCreate(at, 2), at[0]);
const alloc = (bytes: number) => (driver.cuMemAlloc(at, bytes), Number(at[0]));
const block = new ParameterBlock(8);
let module: bigint | undefined;

function kernel(name: string): bigint {
  if (module === undefined) {
    const { cubin } = compileCuda(openNvrtc().calls, { source: text, options: ["-arch=sm_90"] });
    driver.cuModuleLoadData(at, cubin);
    module = at[0];
  }
  driver.cuModuleGetFunction(at, module, new TextEncoder().encode(`${name}\0`));
  return at[0];
}

function fill(x: number, n: number, value: number, on: bigint, threads = 64): void {
  block.pointer(0, x).i32(1, n).f32(2, value);
  const blocks = Math.ceil(n / threads);
  driver.cuLaunchKernel(kernel("fill"), blocks, 1, 1, threads, 1, 1, 0, on, block.address, 0n);
}
function add(x: number, y: number, n: number, on: bigint, threads = 64): void {
  block.pointer(0, x).pointer(1, y).pointer(2, n);
  driver.cuLaunchKernel(kernel("add"), 2, 1, 1, threads, 1, 1, 0, on, block.address, 0n);
}
function launch(name: string, threads: number, shared: number, on: bigint): void {
  const fn = kernel(name);
  if (shared > 48 << 10) driver.cuFuncSetAttribute(fn, 8, shared);
  driver.cuLaunchKernel(fn, 1, 1, 1, threads, 1, 1, shared, on, block.address, 0n);
}
function read(x: number, n: number, on: bigint): number[] {
  const out = new Float32Array(n);
  driver.cuMemcpyDtoHAsync(out, x, 4 * n, on);
  driver.cuStreamSynchronize(on);
  return [...out];
}

function captured(s: bigint, mode: number, work: () => void): bigint {
  // Modules cannot be loaded meanwhile.
  kernel("fill");
  driver.cuStreamBeginCapture(s, mode);
  let failure: unknown;
  try {
    work();
  } catch (error) {
    failure = error;
  }
  try {
    driver.cuStreamEndCapture(s, at);
  } catch (error) {
    failure ??= error;
  }
  if (failure !== undefined) throw failure;
  const graph = at[0];
  driver.cuGraphInstantiateWithFlags(at, graph, 1);
  driver.cuGraphDestroy(graph);
  return at[0];
}

/** By name. They return what they read. */
export const scenarios: Readonly<Record<string, () => number[]>> = {
  copiesAndKernels: () => {
    const s = stream(), x = alloc(400), y = alloc(400);
    driver.cuMemcpyHtoD(x, Float32Array.from({ length: 100 }, (_, i) => i), 400);
    fill(y, 100, 0.5, s);
    add(x, y, 100, s);
    return [read(y, 100, s).reduce((a, b) => a + b, 0)];
  },
  wholeBlock: () => {
    const s = stream(), x = alloc(4 * 256), sums = alloc(16), counts = alloc(4);
    driver.cuMemcpyHtoD(x, Float32Array.from({ length: 256 }, (_, i) => i % 2), 1024);
    driver.cuMemsetD8Async(sums, 0, 16, s);
    driver.cuMemsetD8Async(counts, 0, 4, s);
    block.pointer(0, x).pointer(1, sums).pointer(2, counts).i32(3, 256);
    const fn = kernel("wholeBlock");
    driver.cuLaunchKernel(fn, 1, 3, 2, 8, 8, 4, 1024, s, block.address, 0n);
    const out = new Float64Array(2), most = new Uint32Array(1);
    driver.cuMemcpyDtoHAsync(out, sums, 16, s);
    driver.cuMemcpyDtoHAsync(most, counts, 4, s);
    driver.cuStreamSynchronize(s);
    return [...out, most[0]];
  },
  freshMemoryIsNaN: () => read(alloc(16), 4, stream()),
  eventsOrderStreams: () => {
    const a = stream(), b = stream(), e = event(), x = alloc(400), y = alloc(400);
    driver.cuMemsetD8Async(y, 0, 400, b);
    fill(x, 100, 3, a);
    driver.cuEventRecord(e, a);
    driver.cuStreamWaitEvent(b, e, 0);
    add(x, y, 100, b);
    return [read(y, 100, b)[99]];
  },
  graph: () => {
    const a = stream(), b = stream(), fork = event(), joined = event();
    const x = alloc(400), y = alloc(400), z = alloc(400);
    for (const p of [x, y, z]) driver.cuMemsetD8Async(p, 0, 400, a);
    const exec = captured(a, 1, () => {
      fill(x, 100, 2, a);
      driver.cuEventRecord(fork, a);
      driver.cuStreamWaitEvent(b, fork, 0);
      add(x, y, 100, a);
      add(x, z, 100, b);
      driver.cuEventRecord(joined, b);
      driver.cuStreamWaitEvent(a, joined, 0);
      add(z, y, 100, a);
    });
    const before = read(y, 1, a)[0];
    for (let i = 0; i < 3; i++) driver.cuGraphLaunch(exec, a);
    return [before, read(y, 100, a)[7], read(z, 1, a)[0]];
  },
  writePastTheEnd: () => {
    const s = stream(), x = alloc(400);
    fill(x, 101, 1, s);
    return read(x, 1, s);
  },
  writeFarPastTheEnd: () => {
    const s = stream(), x = alloc(400);
    fill(x, 5000, 1, s);
    return read(x, 1, s);
  },
  missingWait: () => {
    const a = stream(), b = stream(), x = alloc(400), y = alloc(400);
    driver.cuMemsetD8Async(y, 0, 400, b);
    fill(x, 100, 3, a);
    add(x, y, 100, b);
    return read(y, 1, b);
  },
  missingWaitInAGraph: () => {
    const a = stream(), b = stream(), fork = event(), joined = event(), x = alloc(400);
    captured(a, 1, () => {
      driver.cuEventRecord(fork, a);
      driver.cuStreamWaitEvent(b, fork, 0);
      fill(x, 100, 1, a);
      fill(x, 100, 2, b);
      driver.cuEventRecord(joined, b);
      driver.cuStreamWaitEvent(a, joined, 0);
    });
    return [];
  },
  staleRead: () => {
    const s = stream(), x = alloc(16);
    driver.cuMemHostAlloc(at, 16, 0);
    const host = new Float32Array(
      Deno.UnsafePointerView.getArrayBuffer(Deno.UnsafePointer.create(at[0])!, 16),
    );
    host.fill(7);
    fill(x, 4, 1, s);
    driver.cuMemcpyDtoHAsync(host, x, 16, s);
    const early = host[0];
    driver.cuStreamSynchronize(s);
    return [early, host[0]];
  },
  useAfterFree: () => {
    const s = stream(), x = alloc(400), y = alloc(400);
    fill(y, 100, 0, s);
    driver.cuMemFree(x);
    add(x, y, 100, s);
    return read(y, 1, s);
  },
  copyAfterFree: () => {
    const s = stream(), x = alloc(400);
    driver.cuMemFree(x);
    return read(x, 1, s);
  },
  doubleFree: () => {
    const x = alloc(400);
    driver.cuMemFree(x);
    driver.cuMemFree(x);
    return [];
  },
  waitInsideACapture: () => {
    const s = stream(), x = alloc(400);
    captured(s, 1, () => {
      fill(x, 100, 1, s);
      driver.cuStreamSynchronize(s);
    });
    return [];
  },
  hostReadInsideACapture: () => {
    const s = stream(), x = alloc(400);
    fill(x, 100, 1, s);
    captured(s, 1, () => driver.cuMemcpyDtoH(new Float32Array(100), x, 400));
    return [];
  },
  allocationInsideACapture: () => {
    captured(stream(), 0, () => alloc(400));
    return [];
  },
  unjoinedCapture: () => {
    const a = stream(), b = stream(), fork = event(), x = alloc(400);
    captured(a, 1, () => {
      driver.cuEventRecord(fork, a);
      driver.cuStreamWaitEvent(b, fork, 0);
      fill(x, 100, 1, b);
    });
    return [];
  },
  tooManyThreads: () => {
    fill(alloc(400), 100, 1, stream(), 1025);
    return [];
  },
  beyondLaunchBounds: () => {
    const x = alloc(400);
    add(x, alloc(400), 100, stream(), 512);
    return [];
  },
  tooMuchStaticShared: () => {
    block.pointer(0, alloc(4 * 64));
    launch("staticShared", 64, 0, stream());
    return [];
  },
  tooMuchDynamicShared: () => {
    block.pointer(0, alloc(4)).i32(1, 0);
    launch("dynamicShared", 1, 228 << 10, stream());
    return [];
  },
  pastDynamicShared: () => {
    block.pointer(0, alloc(4)).i32(1, 16);
    launch("dynamicShared", 1, 64, stream());
    return [];
  },
  muchDynamicShared: () => {
    const s = stream(), x = alloc(4);
    block.pointer(0, x).i32(1, 50000);
    launch("dynamicShared", 1, 227 << 10, s);
    return read(x, 1, s);
  },
  unevenBarrier: () => {
    block.pointer(0, alloc(4 * 64));
    launch("uneven", 64, 0, stream());
    return [];
  },
  unalignedAccess: () => {
    const s = stream(), x = alloc(64);
    fill(x, 16, 1, s);
    block.pointer(0, x);
    launch("unaligned", 1, 0, s);
    return [];
  },
  tooMuchMemory: () => {
    alloc(3 << 20);
    return [alloc(2 << 20)];
  },
  leak: () => {
    driver.cuMemFree(alloc(100));
    alloc(300);
    return [];
  },
  products: () => products(driver, stream()),
  float8Products: () => float8Products(driver, stream()),
  parameterBlockIsCopied: () => {
    const s = stream(), x = alloc(16), y = alloc(16);
    fill(x, 4, 1, s);
    fill(y, 4, 2, s);
    block.pointer(0, 0).i32(1, 0).f32(2, 0);
    return [read(x, 1, s)[0], read(y, 1, s)[0], address(new Uint8Array(1)) > 0n ? 1 : 0];
  },
};

if (import.meta.main) {
  let outcome: Outcome;
  try {
    outcome = { values: scenarios[Deno.args[0]]() };
  } catch (error) {
    if (!(error instanceof NativeError)) throw error;
    outcome = { status: error.status };
  }
  console.log(JSON.stringify(outcome));
}
