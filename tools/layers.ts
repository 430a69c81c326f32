/**
 * Which part of the project may import which. The lint plugin applies this table to every import; type-only imports are free, since they
 * vanish at run time.
 */

/** A part of the project. `root` is the file that wires everything; `core` is what the other parts of the core build on. */
export type Layer =
  | "ffi"
  | "core"
  | "core/blocks"
  | "core/dist"
  | "core/dist/rank"
  | "core/backend"
  | "core/mod"
  | "trainer"
  | "launch"
  | "launch/scripts"
  | "root"
  | "examples"
  | "free";

/** What each layer imports, beside itself and external packages. */
export const allowed: Record<Layer, readonly Layer[]> = {
  "ffi": [],
  "core": ["core/dist", "core/dist/rank"],
  // nn, optim, data, save: built on tensors, never used by them.
  "core/blocks": ["core", "core/dist", "core/dist/rank"],
  "core/dist": ["ffi", "core", "core/dist/rank"],
  "core/dist/rank": ["core"],
  // A backend runs collectives by handing its memory to the communicator.
  "core/backend": ["ffi", "core", "core/dist"],
  "core/mod": ["core", "core/blocks", "core/dist", "core/dist/rank"],
  "trainer": ["core/mod", "core/dist/rank"],
  "launch": ["core/dist/rank"],
  // Programs that the launcher starts as processes of their own, never modules of it.
  "launch/scripts": ["ffi", "root"],
  "root": ["core/mod", "core/backend", "core/dist/rank", "trainer"],
  "examples": ["root"],
  // tests, bench and tools look at everything.
  "free": [
    "ffi",
    "core",
    "core/blocks",
    "core/dist",
    "core/dist/rank",
    "core/backend",
    "core/mod",
    "trainer",
    "launch",
    "launch/scripts",
    "root",
    "examples",
  ],
};

/** First match counts. */
const places: readonly (readonly [RegExp, Layer])[] = [
  [/^ffi\//, "ffi"],
  [/^core\/backend\//, "core/backend"],
  [/^core\/dist\/rank\.ts$/, "core/dist/rank"],
  [/^core\/dist\//, "core/dist"],
  [/^core\/(nn|optim|data|save)\//, "core/blocks"],
  [/^core\/mod\.ts$/, "core/mod"],
  [/^core\//, "core"],
  [/^trainer\//, "trainer"],
  [/^launch\/scripts\//, "launch/scripts"],
  [/^launch\//, "launch"],
  [/^examples\//, "examples"],
  [/^(tests|bench|tools|docs)\//, "free"],
  [/^mod\.ts$/, "root"],
];

/** Files of the package names. */
const packages: Readonly<Record<string, string>> = {
  "@pta/accelerated": "mod.ts",
  "@pta/ffi": "ffi/mod.ts",
  "@pta/ffi/shared_memory": "ffi/shared_memory.ts",
  "@pta/core": "core/mod.ts",
  "@pta/core/backend": "core/backend/mod.ts",
  "@pta/core/dist/rank": "core/dist/rank.ts",
  "@pta/trainer": "trainer/mod.ts",
  "@pta/launch": "launch/launch.ts",
};

/**
 * The layer of a file.
 * @param path Path from the root of the repository, with forward slashes
 * @returns Its layer, `undefined` outside the project
 */
export function layerOf(path: string): Layer | undefined {
  return places.find(([pattern]) => pattern.test(path))?.[1];
}

/**
 * The file that a specifier means.
 * @param specifier Text of the import
 * @param from Path of the importing file, from the root of the repository
 * @returns Path from the root, `undefined` for an external package
 */
export function fileOf(specifier: string, from: string): string | undefined {
  if (!specifier.startsWith(".")) return packages[specifier];
  return new URL(specifier, `file:///project/${from}`).pathname.replace(/^\/project\//, "");
}

/**
 * Why an import is wrong.
 * @param specifier Text of the import
 * @param from Path of the importing file, from the root of the repository
 * @returns The complaint, `undefined` when the import is fine
 */
export function complaint(specifier: string, from: string): string | undefined {
  const layer = layerOf(from);
  if (layer === undefined) return undefined;
  if (specifier.startsWith("@pta/") && packages[specifier] === undefined) {
    return `Cannot import ${specifier}: no package exports it`;
  }
  const file = fileOf(specifier, from), target = file === undefined ? undefined : layerOf(file);
  if (target === undefined) return undefined;
  if (target !== layer && !allowed[layer].includes(target)) {
    const wanted = allowed[layer].join(", ");
    return `Cannot import ${file} (${target}) from ${layer}: ${
      wanted === "" ? "it imports nothing of the project" : `it may import ${wanted}`
    }`;
  }
  const [own, other] = [from, file!].map((path) => path.split("/")[0]);
  if (own !== other && layer !== "free" && specifier.startsWith(".") && own !== "mod.ts") {
    return `Cannot import ${file} by a relative path from ${own}/: packages are imported by name`;
  }
  return undefined;
}
