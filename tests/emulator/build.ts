/** Builds the stand-ins for NVIDIA's libraries with g++, once for each version of their sources, and says how to use them. */
import { cublasLtSymbols } from "../../ffi/cuda/cublas_lt.ts";
import { cudnnSymbols } from "../../ffi/cuda/cudnn.ts";
import { driverSymbols } from "../../ffi/cuda/driver.ts";
import { ncclSymbols } from "../../ffi/cuda/nccl.ts";
import { nvrtcSymbols } from "../../ffi/cuda/nvrtc.ts";

const here = new URL(".", import.meta.url).pathname;

/** Sources by the variable that names the library, with its file name and the symbols that it must have. */
const libraries: Record<string, [string, string, Deno.ForeignLibraryInterface]> = {
  PTA_CUDA_LIB: ["driver.cpp", "libcuda.so.1", driverSymbols],
  PTA_NVRTC_LIB: ["nvrtc.cpp", "libnvrtc.so.13", nvrtcSymbols],
  PTA_CUBLASLT_LIB: ["cublas_lt.cpp", "libcublasLt.so.13", cublasLtSymbols],
  PTA_NCCL_LIB: ["nccl.cpp", "libnccl.so.2", ncclSymbols],
  PTA_CUDNN_LIB: ["cudnn.cpp", "libcudnn.so.9", cudnnSymbols],
};

const flags = ["-std=c++17", "-fPIC", "-shared", "-w", "-fwrapv", "-fno-strict-aliasing"];
/** How kernels are compiled: without optimization, since most run once. Contraction would give other bits than the tests expect. */
export const kernelFlags = [...flags, "-O0", "-ffp-contract=off"];

/** Why nothing can be emulated here; undefined when it can. */
export function whyNotEmulated(): string | undefined {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return "the emulator needs Linux on x86_64";
  }
  try {
    const { success } = new Deno.Command("g++", { args: ["--version"], stdout: "null" })
      .outputSync();
    return success ? undefined : "g++ does not run";
  } catch {
    return "g++ is not installed";
  }
}

function compile(args: readonly string[]): void {
  const { success, stderr } = new Deno.Command("g++", { args: [...args], stderr: "piped" })
    .outputSync();
  if (!success) throw new Error(`g++ ${args.join(" ")}:\n${new TextDecoder().decode(stderr)}`);
}

function digest(text: string): string {
  let a = 0xcbf29ce484222325n;
  for (let i = 0; i < text.length; i++) {
    a = BigInt.asUintN(64, (a ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n);
  }
  return a.toString(16).padStart(16, "0");
}

/** Functions of a library that its stand-in does not have; they answer "not supported". */
function missing(source: string, symbols: Deno.ForeignLibraryInterface): string {
  const made = new Set(Array.from(source.matchAll(/^API [^(\n]*?(\w+)\(/gm), (m) => m[1]));
  return Object.keys(symbols).filter((name) => !made.has(name))
    .map((name) => `API int ${name}() { return 801; }`).join("\n");
}

/** The folder of built libraries and compiled kernels. */
export function emulatorFolder(): string {
  return Deno.env.get("PTA_EMULATOR_HOME") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`}/pta_emulator`;
}

/**
 * Builds what is not built yet.
 * @returns The environment that makes the package use the stand-ins
 * @throws {Error} When g++ fails
 */
export function buildEmulator(): Record<string, string> {
  const device = Deno.readTextFileSync(`${here}device.h`), home = emulatorFolder();
  const stamp = digest(device + kernelFlags.join(" "));
  const kernels = `${home}/kernels_${stamp}`;
  Deno.mkdirSync(kernels, { recursive: true });
  const header = `${kernels}/device.h`;
  try {
    Deno.statSync(`${header}.gch`);
  } catch {
    const own = `${header}.${Deno.pid}`;
    Deno.writeTextFileSync(own, device);
    compile([...kernelFlags, "-x", "c++-header", own, "-o", `${own}.gch`]);
    Deno.renameSync(own, header);
    Deno.renameSync(`${own}.gch`, `${header}.gch`);
  }
  const environment: Record<string, string> = {
    PTA_EMULATOR_CACHE: kernels,
    PTA_EMULATOR_COMPILE: `g++ ${kernelFlags.join(" ")} -include ${header}`,
    // Kernels are kept by the stand-in itself, one by one.
    PTA_CACHE: "off",
    PTA_CUDA_BATCH: "0",
    PTA_NVML_LIB: "off",
    PTA_CUBLAS_LIB: "off",
  };
  for (const [variable, [file, name, symbols]] of Object.entries(libraries)) {
    let source: string;
    try {
      source = Deno.readTextFileSync(here + file);
    } catch {
      environment[variable] = "off";
      continue;
    }
    const text = `${source}\n${missing(source, symbols)}\n`;
    const folder = `${home}/${name.split(".")[0]}_${digest(text)}`, path = `${folder}/${name}`;
    environment[variable] = path;
    try {
      Deno.statSync(path);
    } catch {
      Deno.mkdirSync(folder, { recursive: true });
      const own = `${folder}/${Deno.pid}`;
      Deno.writeTextFileSync(`${own}.cpp`, text);
      compile([...flags, "-O2", "-o", `${own}.so`, `${own}.cpp`, "-ldl"]);
      Deno.renameSync(`${own}.so`, path);
    }
  }
  return environment;
}
