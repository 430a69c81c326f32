/**
 * Opens NVIDIA's libraries on first use, in the order that keeps them from failing: the driver, NVRTC's builtins, NVRTC, cuBLASLt, cuBLAS, cuDNN's
 * graph library, cuDNN, NCCL. Open libraries stay open.
 */
import { bindCublas, type CublasCalls, cublasSymbols } from "./cublas.ts";
import { bindCublasLt, type CublasLtCalls, cublasLtSymbols } from "./cublas_lt.ts";
import { bindCudnn, type CudnnCalls, cudnnSymbols } from "./cudnn.ts";
import { bindDriver, type DriverCalls, driverSymbols } from "./driver.ts";
import { findLibrary, type LibraryVersion, type NativeLibrary, type NativeSpec } from "./find.ts";
import { textOf } from "./memory.ts";
import { bindNccl, type NcclCalls, ncclSymbols } from "./nccl.ts";
import { bindNvml, type NvmlCalls, nvmlSymbols } from "./nvml.ts";
import { bindNvrtc, type NvrtcCalls, nvrtcSymbols } from "./nvrtc.ts";

/** A number such as 92400 as its parts, the last two of two digits. */
function parts(version: number): LibraryVersion {
  return [Math.floor(version / 10000), Math.floor(version / 100) % 100, version % 100];
}

/** What a call writes into an int. */
function int(call: (at: Int32Array<ArrayBuffer>) => void): number {
  const at = new Int32Array(1);
  call(at);
  return at[0];
}

const found = new Map<string, NativeLibrary<unknown>>();

function open<S extends Deno.ForeignLibraryInterface, C>(spec: NativeSpec<S, C>): NativeLibrary<C> {
  const known = found.get(spec.name) as NativeLibrary<C> | undefined;
  if (known !== undefined) return known;
  const library = findLibrary(spec);
  found.set(spec.name, library);
  return library;
}

const skipped = new Set<string>();

/** Opens a library for the good of a later one; where there is none, the later one may do without. */
function openIfFound(name: string, opener: () => unknown): void {
  if (skipped.has(name)) return;
  try {
    opener();
  } catch {
    skipped.add(name);
  }
}

/** The folder in which an open library was found; undefined for one that the loader found. */
function folderOf(name: string): string | undefined {
  return /^(.+)[\\/][^\\/]*$/.exec(found.get(name)?.path ?? "")?.[1];
}

const driver: NativeSpec<typeof driverSymbols, DriverCalls> = {
  name: "the CUDA driver",
  variable: "PTA_CUDA_LIB",
  install: "Install NVIDIA's driver (nvidia-smi shows whether it runs)",
  files: { linux: ["libcuda.so.1"], windows: ["nvcuda.dll"] },
  symbols: driverSymbols,
  bind: bindDriver,
  version: (calls) => {
    const version = int((at) => calls.cuDriverGetVersion(at));
    return [Math.floor(version / 1000), Math.floor(version / 10) % 100, 0];
  },
  oldest: [12, 0, 0],
  system: true,
};

const nvrtc: NativeSpec<typeof nvrtcSymbols, NvrtcCalls> = {
  name: "NVRTC",
  variable: "PTA_NVRTC_LIB",
  install: "Install it with `pip install nvidia-cuda-nvrtc`",
  files: {
    linux: ["libnvrtc.so.13", "libnvrtc.so.12"],
    windows: ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"],
  },
  symbols: nvrtcSymbols,
  bind: bindNvrtc,
  version: (calls) => {
    const major = new Int32Array(1), minor = new Int32Array(1);
    calls.nvrtcVersion(major, minor);
    return [major[0], minor[0], 0];
  },
  oldest: [12, 0, 0],
  refuse: ([major]) => {
    const supported = found.get(driver.name)?.version;
    return supported === undefined || major <= supported[0]
      ? undefined
      : `its CUDA ${major} is newer than the driver's ${supported[0]}.${supported[1]}`;
  },
  // NVRTC opens it by name and does not look beside itself.
  first: (file) => {
    const major = /(?:so\.|64_)(\d\d)/.exec(file)?.[1] ?? "";
    return new RegExp(`^(libnvrtc-builtins\\.so\\.${major}|nvrtc-builtins64_${major}\\d\\.dll$)`);
  },
};

const cublasLt: NativeSpec<typeof cublasLtSymbols, CublasLtCalls> = {
  name: "cuBLASLt",
  variable: "PTA_CUBLASLT_LIB",
  install: "Install it with `pip install nvidia-cublas`",
  files: {
    linux: ["libcublasLt.so.13", "libcublasLt.so.12"],
    windows: ["cublasLt64_13.dll", "cublasLt64_12.dll"],
  },
  symbols: cublasLtSymbols,
  bind: bindCublasLt,
  version: (calls) => parts(calls.cublasLtGetVersion()),
  oldest: [12, 0, 0],
  beside: () => folderOf(nvrtc.name),
};

const cublas: NativeSpec<typeof cublasSymbols, CublasCalls> = {
  name: "cuBLAS",
  variable: "PTA_CUBLAS_LIB",
  install: "Install it with `pip install nvidia-cublas`",
  files: {
    linux: ["libcublas.so.13", "libcublas.so.12"],
    windows: ["cublas64_13.dll", "cublas64_12.dll"],
  },
  symbols: cublasSymbols,
  bind: bindCublas,
  version: (calls) => {
    const property = (kind: number) => int((at) => calls.cublasGetProperty(kind, at));
    return [property(0), property(1), property(2)];
  },
  oldest: [12, 0, 0],
  refuse: ([major, minor, patch]) => {
    const lt = found.get(cublasLt.name)?.version.join(".");
    const own = [major, minor, patch].join(".");
    return lt === undefined || lt === own ? undefined : `its version is ${own}, cuBLASLt's ${lt}`;
  },
  beside: () => folderOf(cublasLt.name),
};

const cudnn: NativeSpec<typeof cudnnSymbols, CudnnCalls> = {
  name: "cuDNN",
  variable: "PTA_CUDNN_LIB",
  install: "Install it with `pip install nvidia-cudnn-cu13`",
  files: { linux: ["libcudnn.so.9"], windows: ["cudnn64_9.dll"] },
  symbols: cudnnSymbols,
  bind: bindCudnn,
  version: (calls) => parts(calls.cudnnGetVersion()),
  oldest: [9, 0, 0],
  // Without it the first call ends the process.
  first: (file) => file.includes("64_") ? "cudnn_graph64_9.dll" : "libcudnn_graph.so.9",
};

const nccl: NativeSpec<typeof ncclSymbols, NcclCalls> = {
  name: "NCCL",
  variable: "PTA_NCCL_LIB",
  install: "Install it with `pip install nvidia-nccl-cu13`",
  files: { linux: ["libnccl.so.2"] },
  symbols: ncclSymbols,
  bind: bindNccl,
  version: (calls) => parts(int((at) => calls.ncclGetVersion(at))),
  oldest: [2, 18, 0],
};

const nvml: NativeSpec<typeof nvmlSymbols, NvmlCalls> = {
  name: "NVML",
  variable: "PTA_NVML_LIB",
  install: "Install NVIDIA's driver",
  files: { linux: ["libnvidia-ml.so.1"], windows: ["nvml.dll"] },
  symbols: nvmlSymbols,
  bind: bindNvml,
  version: (calls) => {
    const text = new Uint8Array(80);
    calls.nvmlSystemGetNVMLVersion(text, text.length);
    const [major = 0, minor = 0, patch = 0] = textOf(text).split(".").map(Number);
    return [major, minor, patch];
  },
  oldest: [12, 0, 0],
  system: true,
};

/**
 * Opens the CUDA driver; `PTA_CUDA_LIB` overrides the search. `cuInit` is left to the caller.
 *
 * @throws {Error} When there is none, or it is older than CUDA 12.0
 */
export function openDriver(): NativeLibrary<DriverCalls> {
  return open(driver);
}

/**
 * Opens NVRTC; `PTA_NVRTC_LIB` overrides the search. One newer than the driver's CUDA is passed over.
 *
 * @throws {Error} When there is none
 */
export function openNvrtc(): NativeLibrary<NvrtcCalls> {
  openIfFound(driver.name, openDriver);
  return open(nvrtc);
}

/**
 * Opens cuBLASLt; `PTA_CUBLASLT_LIB` overrides the search.
 *
 * @throws {Error} When there is none
 */
export function openCublasLt(): NativeLibrary<CublasLtCalls> {
  openIfFound(nvrtc.name, openNvrtc);
  return open(cublasLt);
}

/**
 * Opens cuBLAS, and cuBLASLt of the same version before it; `PTA_CUBLAS_LIB` overrides the search.
 *
 * @throws {Error} When there is none
 */
export function openCublas(): NativeLibrary<CublasCalls> {
  openCublasLt();
  return open(cublas);
}

/**
 * Opens cuDNN; `PTA_CUDNN_LIB` overrides the search.
 *
 * @throws {Error} When there is none
 */
export function openCudnn(): NativeLibrary<CudnnCalls> {
  // Its engines open these two by name.
  openIfFound(cublasLt.name, openCublasLt);
  return open(cudnn);
}

/**
 * Opens NCCL; `PTA_NCCL_LIB` overrides the search. Linux only.
 *
 * @throws {Error} When there is none
 */
export function openNccl(): NativeLibrary<NcclCalls> {
  openIfFound(driver.name, openDriver);
  return open(nccl);
}

/**
 * Opens NVML; `PTA_NVML_LIB` overrides the search. `nvmlInit` is left to the caller.
 *
 * @throws {Error} When there is none
 */
export function openNvml(): NativeLibrary<NvmlCalls> {
  return open(nvml);
}
