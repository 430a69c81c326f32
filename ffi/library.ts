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
    if (!ffiGranted(candidate)) {
      tried.push(`${candidate}: --allow-ffi is not granted`);
      continue;
    }
    try {
      return { symbols: Deno.dlopen(candidate, spec.symbols).symbols, path: candidate };
    } catch (error) {
      tried.push(`${candidate}: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (tried.length === 0) tried.push(`no candidates for ${Deno.build.os}`);
  throw new Error(
    `Cannot open the ${spec.name} library; set ${spec.variable} to its path. Tried:\n` +
      tried.map((line) => `  ${line.trim()}`).join("\n"),
  );
}
