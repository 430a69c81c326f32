/** Finding and opening native libraries, lazily and without ever asking for a permission. */

/** Which library, where it may be, and what to take from it. */
export interface LibrarySpec<S extends Deno.ForeignLibraryInterface> {
  /** Name for people, such as `BLAS`. */
  readonly name: string;
  /** Environment variable that overrides the search, named in the error. */
  readonly variable: string;
  /** File names and paths to try, in order, by operating system. */
  readonly candidates: { readonly [os in typeof Deno.build.os]?: readonly string[] };
  /** Symbols as the header declares them. */
  readonly symbols: S;
}

/** An open library and the candidate that was found. */
export interface OpenLibrary<S extends Deno.ForeignLibraryInterface> {
  /** Functions of the library. */
  readonly symbols: Deno.DynamicLibrary<S>["symbols"];
  /** What was opened. */
  readonly path: string;
}

/** Whether opening `path` (or any library) is permitted already. Never prompts. */
export function ffiGranted(path?: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/**
 * Tries one file. Never prompts.
 *
 * @param path A path, or a file name for the system's loader to find
 * @param symbols Symbols as the header declares them
 * @returns The open library, or the reason why there is none
 */
export function tryLibrary<S extends Deno.ForeignLibraryInterface>(
  path: string,
  symbols: S,
): OpenLibrary<S> | string {
  if (!ffiGranted(path)) return "--allow-ffi is not granted";
  try {
    return { symbols: Deno.dlopen(path, symbols).symbols, path };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // Deno says the same twice, and the path once more.
    return reason.replace(/^(Could not open library: )+/, "").replace(`${path}: `, "").trim();
  }
}

/**
 * Opens a native library.
 *
 * @param spec What to look for
 * @param path The only path to try, usually the value of `spec.variable`
 * @throws {Error} When nothing could be opened; lists each attempt with its reason
 */
export function openLibrary<S extends Deno.ForeignLibraryInterface>(
  spec: LibrarySpec<S>,
  path?: string,
): OpenLibrary<S> {
  const candidates = path === undefined ? spec.candidates[Deno.build.os] ?? [] : [path];
  const tried: string[] = [];
  for (const candidate of candidates) {
    const opened = tryLibrary(candidate, spec.symbols);
    if (typeof opened !== "string") return opened;
    tried.push(`${candidate}: ${opened}`);
  }
  if (tried.length === 0) tried.push(`no candidates for ${Deno.build.os}`);
  throw new Error(
    `Cannot open the ${spec.name} library; set ${spec.variable} to its path. Tried:\n` +
      tried.map((line) => `  ${line.trim()}`).join("\n"),
  );
}
