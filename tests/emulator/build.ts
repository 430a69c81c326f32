/** Builds the emulated libraries of NVIDIA with g++, once for each state of their sources, and says how to use them. */
import { whyNoCompiler } from "./emulate.ts";
import { prelude } from "../../core/backend/cuda/prelude.ts";
import { cublasLtSymbols } from "../../ffi/cuda/cublas_lt.ts";
import { cudnnSymbols } from "../../ffi/cuda/cudnn.ts";
import { driverSymbols } from "../../ffi/cuda/driver.ts";
import { ncclSymbols } from "../../ffi/cuda/nccl.ts";
import { nvmlSymbols } from "../../ffi/cuda/nvml.ts";
import { nvrtcSymbols } from "../../ffi/cuda/nvrtc.ts";

const here = new URL(".", import.meta.url).pathname;

/** A library: its file, what it is built of, the symbols that it must have. */
interface Library {
  readonly file: string;
  readonly sources: readonly string[];
  readonly symbols: Deno.ForeignLibraryInterface;
  /** What a symbol without an implementation answers. */
  readonly unsupported: number;
  /** Whether it puts work on streams of the emulated driver. */
  readonly usesDriver?: boolean;
  /** Another name under which it must lie there. */
  readonly also?: string;
}

// deno-fmt-ignore
const driverSources = ["findings", "memory", "fault", "races", "streams", "capture", "graphs", "units", "build", "modules",
  "device", "transfers"].map((name) => `native/${name}.cpp`);

/** By the variable that names them. One without sources is off. */
const libraries: Readonly<Record<string, Library>> = {
  PTA_CUDA_LIB: {
    file: "libcuda.so.1",
    sources: driverSources,
    symbols: driverSymbols,
    unsupported: 801,
  },
  PTA_NVRTC_LIB: {
    file: "libnvrtc.so.13",
    sources: ["native/nvrtc.cpp"],
    symbols: nvrtcSymbols,
    unsupported: 11,
  },
  PTA_CUBLASLT_LIB: {
    file: "libcublasLt.so.13",
    sources: ["native/cublas_lt.cpp", "native/cublas_lt_matmul.cpp"],
    symbols: cublasLtSymbols,
    unsupported: 15,
    usesDriver: true,
  },
  PTA_NCCL_LIB: {
    file: "libnccl.so.2",
    sources: ["nccl.cpp"],
    symbols: ncclSymbols,
    unsupported: 5,
  },
  PTA_CUDNN_LIB: {
    file: "libcudnn.so.9",
    sources: ["native/cudnn.cpp", "native/cudnn_check.cpp", "native/cudnn_run.cpp"],
    symbols: cudnnSymbols,
    unsupported: 3000,
    usesDriver: true,
    also: "libcudnn_graph.so.9",
  },
  PTA_NVML_LIB: {
    file: "libnvidia-ml.so.1",
    sources: ["native/nvml.cpp"],
    symbols: nvmlSymbols,
    unsupported: 3,
    usesDriver: true,
  },
};

const flags = ["-std=c++17", "-fPIC", "-w", "-fwrapv", "-ffp-contract=off", "-fno-strict-aliasing"];
/** Flags of what comes before kernels; native/build.cpp has the same. Contraction would give other bits than the tests expect. */
const kernelFlags = [...flags, "-DPTA_SECTIONS"];

/** Why nothing can be emulated here; undefined when it can. */
export function whyNotEmulated(): string | undefined {
  return Deno.build.os === "linux" ? whyNoCompiler() : "the emulator needs Linux";
}

function digest(text: string): string {
  let a = 0xcbf29ce484222325n;
  for (let i = 0; i < text.length; i++) {
    a = BigInt.asUintN(64, (a ^ BigInt(text.charCodeAt(i))) * 0x100000001b3n);
  }
  return a.toString(16).padStart(16, "0");
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Makes a file by a command that writes to the path it is given; beside and renamed, since several processes may build at once. */
interface Step {
  readonly path: string;
  readonly command: (path: string) => readonly string[];
}

/** Makes what is not there, two at a time. */
function make(steps: readonly Step[]): void {
  const needed = steps.filter(({ path }) => !exists(path));
  if (needed.length === 0) return;
  const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;
  const lines = needed.map(({ path, command }) => {
    const own = `${path}.${Deno.pid}`;
    return `${command(own).map(quote).join(" ")} && mv ${quote(own)} ${quote(path)} || exit 255`;
  });
  const list = Deno.makeTempFileSync();
  Deno.writeTextFileSync(list, lines.join("\n"));
  // `xargs` ends at the first command that fails with 255.
  const args = ["-a", list, "-d", "\\n", "-P", "2", "-n", "1", "sh", "-c"];
  const { success, stderr } = new Deno.Command("xargs", { args, stderr: "piped" }).outputSync();
  Deno.removeSync(list);
  if (success) return;
  const text = new TextDecoder().decode(stderr).split("\n").slice(0, 30).join("\n");
  throw new Error(`Cannot build the emulator:\n${text}`);
}

/** The folder of built libraries and compiled kernels. */
export function emulatorFolder(): string {
  return Deno.env.get("PTA_EMULATOR_HOME") ??
    `${Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`}/pta_emulator`;
}

/** All symbols of a library as functions that say that they are not supported; those of the sources come before them. */
function placeholders({ symbols, unsupported }: Library): string {
  return Object.keys(symbols).map((name) =>
    `extern "C" __attribute__((weak, visibility("default"))) long ${name}() { return ${unsupported}; }\n`
  ).join("");
}

/** Text with the headers of ours that it includes. */
const withHeaders = (text: string): string =>
  text + Array.from(
    text.matchAll(/^#include "(\w+\.h)"/gm),
    ([, name]) => withHeaders(Deno.readTextFileSync(`${here}native/${name}`)),
  ).join("");

function libraryPath(library: Library, home: string, driver?: string): string | undefined {
  if (!library.sources.every((s) => exists(here + s))) return undefined;
  const texts = library.sources.map((s) => Deno.readTextFileSync(here + s));
  const others = placeholders(library);
  const stamp = digest([...flags, others, driver ?? "", ...texts.map(withHeaders)].join("\0"));
  const folder = `${home}/${library.file.split(".")[0]}_${stamp}`,
    path = `${folder}/${library.file}`;
  if (exists(path)) return path;
  Deno.mkdirSync(folder, { recursive: true });
  Deno.mkdirSync(`${home}/objects`, { recursive: true });
  const parts = [...library.sources.map((s) => here + s), `${folder}/placeholders.cpp`];
  Deno.writeTextFileSync(parts.at(-1)!, others);
  const objects = parts.map((source): Step => ({
    path: `${home}/objects/${digest(withHeaders(Deno.readTextFileSync(source)) + flags)}.o`,
    command: (out) => ["g++", ...flags, "-O1", "-fvisibility=hidden", "-c", source, "-o", out],
  }));
  make(objects);
  // deno-fmt-ignore
  make([{ path, command: (out) => ["g++", "-shared", "-pthread", `-Wl,-soname,${library.file}`, "-o", out,
    ...objects.map((o) => o.path), ...driverArguments(driver), "-ldl"] }]);
  if (library.also !== undefined) {
    make([{
      path: `${folder}/${library.also}`,
      command: (out) => ["ln", "-s", library.file, out],
    }]);
  }
  return path;
}

function driverArguments(driver: string | undefined): string[] {
  return driver === undefined ? [] : [driver, `-Wl,-rpath,${driver.replace(/\/[^/]*$/, "")}`];
}

/** The folder of what comes before kernels, compiled, and that of the kernels. */
function kernelFolders(home: string): { before: string; kernels: string } {
  const device = Deno.readTextFileSync(`${here}device.h`);
  const shared = Deno.readTextFileSync(`${here}native/entry.h`);
  const stamp = digest(device + shared + kernelFlags), kernels = `${home}/kernels`;
  const before = `${home}/before_${digest(stamp + prelude)}`;
  Deno.mkdirSync(`${before}/native`, { recursive: true });
  Deno.mkdirSync(kernels, { recursive: true });
  if (!exists(`${before}/stamp`)) {
    const files = { "device.h": device, "native/entry.h": shared, "prelude.h": prelude };
    for (const [name, text] of Object.entries(files)) {
      Deno.writeTextFileSync(`${before}/${name}`, text);
    }
    for (const level of [0, 1]) {
      Deno.writeTextFileSync(`${before}/all${level}.h`, `#include "device.h"\n${prelude}`);
    }
    make([0, 1].map((level) => ({
      path: `${before}/all${level}.h.gch`,
      command: (
        out,
      ) => [
        "g++",
        ...kernelFlags,
        `-O${level}`,
        "-x",
        "c++-header",
        `${before}/all${level}.h`,
        "-o",
        out,
      ],
    })));
    Deno.writeTextFileSync(`${before}/stamp`, stamp);
  }
  return { before, kernels };
}

/**
 * Builds what is not built yet.
 *
 * @returns The environment that makes the package use the emulated libraries
 * @throws {Error} When g++ fails; holds its first messages
 */
export function buildEmulator(): Record<string, string> {
  const home = emulatorFolder(), { before, kernels } = kernelFolders(home);
  const environment: Record<string, string> = {
    PTA_EMULATOR_BEFORE: before,
    PTA_EMULATOR_KERNELS: kernels,
    // Its images are no code for a real device.
    PTA_CACHE: "off",
    // Each buffer has pages of its own then, and nothing after them.
    PTA_CUDA_CACHE: "0",
    PTA_CUBLAS_LIB: "off",
  };
  for (const [variable, library] of Object.entries(libraries)) {
    const driver = library.usesDriver ? environment.PTA_CUDA_LIB : undefined;
    environment[variable] = libraryPath(library, home, driver) ?? "off";
  }
  return environment;
}
