/** Finding one of NVIDIA's libraries: each place in turn, what must be loaded first, the version, and one error that tells all. */
import { type OpenLibrary, tryLibrary } from "../library.ts";
import { folders, kindOf, libraryFolders, names, readable, variable } from "./search.ts";

/** Major, minor and patch number. */
export type LibraryVersion = readonly [major: number, minor: number, patch: number];

/** An open library of NVIDIA's and its checked calls. */
export interface NativeLibrary<Calls> {
  /** Name for people, such as `cuDNN`. */
  readonly name: string;
  /** What was opened. */
  readonly path: string;
  /** What the library says of itself; for the driver, the newest CUDA that it supports. */
  readonly version: LibraryVersion;
  /** The checked calls. */
  readonly calls: Calls;
}

/** A library to find. */
export interface NativeSpec<S extends Deno.ForeignLibraryInterface, Calls> {
  /** Name for people. */
  readonly name: string;
  /** Variable that names the file or its folder, or `off`. */
  readonly variable: string;
  /** What to install, as an instruction. */
  readonly install: string;
  /** File names by system, the newest first. */
  readonly files: { readonly [os in typeof Deno.build.os]?: readonly string[] };
  /** Symbols as the header declares them. */
  readonly symbols: S;
  /** Makes the checked calls. */
  readonly bind: (symbols: Deno.DynamicLibrary<S>["symbols"]) => Calls;
  /** Reads the version. */
  readonly version: (calls: Calls) => LibraryVersion;
  /** The oldest version that works. */
  readonly oldest: LibraryVersion;
  /** Why a library of this version cannot be used, beyond its age. */
  readonly refuse?: (version: LibraryVersion) => string | undefined;
  /**
   * Files of the same folder to load before `file`: a name, or a pattern for names that hold a version. A name must be there; what only
   * matches a pattern is taken when seen.
   */
  readonly first?: (file: string) => string | RegExp;
  /** Whether the library belongs to the driver, and so lies with the system. */
  readonly system?: boolean;
  /** Where to look before the system's loader does: where a sister was found. */
  readonly beside?: () => string | undefined;
}

/** Where a driver's libraries lie when the loader does not know them. */
const systemFolders = [
  "/usr/lib/wsl/lib",
  "/usr/local/nvidia/lib64",
  `/usr/lib/${Deno.build.arch}-linux-gnu`,
  "/usr/lib64",
  "/usr/local/cuda/compat",
];

/** A place: a folder, or the system's loader. */
type Place = { readonly folder: string | undefined; readonly files: readonly string[] };

function places<S extends Deno.ForeignLibraryInterface, C>(spec: NativeSpec<S, C>): Place[] {
  const files = spec.files[Deno.build.os] ?? [];
  const at = (folder: string | undefined): Place => ({ folder, files });
  const override = variable(spec.variable);
  if (override !== undefined) {
    if (kindOf(override) === "folder") return [at(override)];
    // Without a folder the loader finds it; a file may have any name.
    const [, folder, file] = /^(.*)[\\/]([^\\/]*)$/.exec(override) ?? [, undefined, override];
    return [{ folder: folder === "" ? "/" : folder, files: [file] }];
  }
  const own = folders("PTA_CUDA_PATH").map(at);
  // Libraries of different origin do not mix, so nothing else is tried; the driver alone never lies with the rest.
  if (own.length > 0 && spec.system !== true) return own;
  const beside = spec.beside?.();
  return [
    ...own,
    ...(beside === undefined ? [] : [at(beside)]),
    at(undefined),
    ...(spec.system !== true ? libraryFolders() : Deno.build.os === "windows" ? [] : systemFolders)
      .map(at),
  ];
}

/** Loads what must come before `file`; the reason when that fails. */
function loadFirst(folder: string | undefined, first: string | RegExp): string | undefined {
  if (typeof first === "string") {
    const opened = tryLibrary(folder === undefined ? first : `${folder}/${first}`, {});
    return typeof opened === "string" ? `${first} must be loaded first, ${opened}` : undefined;
  }
  for (const name of folder === undefined ? [] : names(folder).filter((n) => first.test(n))) {
    const opened = tryLibrary(`${folder}/${name}`, {});
    if (typeof opened === "string") return `${name} must be loaded first, ${opened}`;
  }
  return undefined;
}

/** Why an open library cannot be used. */
function refusal<S extends Deno.ForeignLibraryInterface, C>(
  spec: NativeSpec<S, C>,
  version: LibraryVersion,
): string | undefined {
  const { oldest } = spec;
  const i = [0, 1, 2].find((i) => version[i] !== oldest[i]);
  if (i !== undefined && version[i] < oldest[i]) {
    return `version ${version.join(".")} is too old, ${oldest.join(".")} is the oldest that works`;
  }
  return spec.refuse?.(version);
}

/** Opens one file: what must come first, the library, its version. */
function attempt<S extends Deno.ForeignLibraryInterface, C>(
  spec: NativeSpec<S, C>,
  folder: string | undefined,
  file: string,
): NativeLibrary<C> | string {
  if (spec.first !== undefined) {
    const failed = loadFirst(folder, spec.first(file));
    if (failed !== undefined) return failed;
  }
  const path = folder === undefined ? file : `${folder}/${file}`;
  const opened: OpenLibrary<S> | string = tryLibrary(path, spec.symbols);
  if (typeof opened === "string") return opened;
  const calls = spec.bind(opened.symbols);
  try {
    const version = spec.version(calls);
    return refusal(spec, version) ?? { name: spec.name, path, version, calls };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Finds and opens a library: the variable of the library (and nothing else), else the folders of `PTA_CUDA_PATH` (and nothing else, except
 * for the driver), else the system's loader, pip wheels, conda, `CUDA_HOME` and `CUDA_PATH`, and the usual folders.
 *
 * @throws {Error} When none can be used; lists each place with its reason and says what to install
 */
export function findLibrary<S extends Deno.ForeignLibraryInterface, C>(
  spec: NativeSpec<S, C>,
): NativeLibrary<C> {
  const tried: string[] = [];
  if (variable(spec.variable) === "off") tried.push(`nothing, ${spec.variable} is off`);
  else {
    for (const { folder, files } of places(spec)) {
      // One line for a folder that has none of the files: there are many folders.
      const there = folder !== undefined && readable(folder)
        ? files.filter((file) => kindOf(`${folder}/${file}`) === "file")
        : files;
      if (there.length === 0 && folder !== undefined) {
        tried.push(`${folder}: ${kindOf(folder) ? `no ${files.join(" or ")}` : "no such folder"}`);
      }
      for (const file of there) {
        const opened = attempt(spec, folder, file);
        if (typeof opened !== "string") return opened;
        tried.push(`${folder === undefined ? file : `${folder}/${file}`}: ${opened}`);
      }
    }
    if (!readable("/")) tried.push("pip wheels and conda: --allow-read is not granted");
    if (tried.length === 0) tried.push(`nothing, there is no ${spec.name} for ${Deno.build.os}`);
  }
  throw new Error(
    `Cannot open ${spec.name}. ${spec.install}, or set ${spec.variable} to its file or folder. Tried:\n` +
      tried.map((line) => `  ${line}`).join("\n"),
  );
}
