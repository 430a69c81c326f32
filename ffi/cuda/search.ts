/** Where NVIDIA's libraries may lie. Reads the environment and the disk only where that is granted already, and never prompts. */

const windows = Deno.build.os === "windows";
const separator = windows ? ";" : ":";

/** An environment variable, when reading it is granted. */
export function variable(name: string): string | undefined {
  const granted = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
  return granted ? Deno.env.get(name) || undefined : undefined;
}

/** The folders of a variable that lists them. */
export function folders(name: string): string[] {
  return variable(name)?.split(separator).filter((path) => path !== "") ?? [];
}

/** Whether `path` is a folder or a file; undefined when it does not exist, or reading is not granted. */
export function kindOf(path: string): "folder" | "file" | undefined {
  if (!readable(path)) return undefined;
  try {
    return Deno.statSync(path).isDirectory ? "folder" : "file";
  } catch {
    return undefined;
  }
}

/** Whether looking at `path` is granted. */
export function readable(path: string): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** Names in a folder, sorted; empty when there is none. */
export function names(folder: string): string[] {
  if (kindOf(folder) !== "folder") return [];
  try {
    return Array.from(Deno.readDirSync(folder), (entry) => entry.name).sort();
  } catch {
    return [];
  }
}

/** The `site-packages` of a Python installation, given its prefix. */
function sitePackages(prefix: string): string[] {
  const found = windows ? [`${prefix}/Lib/site-packages`] : [];
  for (const lib of [`${prefix}/lib`, `${prefix}/local/lib`]) {
    for (const python of names(lib).filter((name) => /^python3/.test(name))) {
      found.push(`${lib}/${python}/site-packages`, `${lib}/${python}/dist-packages`);
    }
  }
  return found;
}

/** Prefixes of the Pythons on PATH, as named there and with links resolved: a virtual environment links to its base. */
function pythonPrefixes(): string[] {
  const prefixOf = (path: string) => path.replaceAll("\\", "/").replace(/(\/bin)?\/[^/]*$/, "");
  return folders("PATH").flatMap((folder) => {
    // pyenv puts scripts there that start one of its versions.
    if (/\.pyenv[\\/]shims/.test(folder)) {
      const versions = folder.replace(/shims.*$/, "versions");
      return names(versions).map((version) => `${versions}/${version}`);
    }
    const python = (windows ? ["python.exe"] : ["python3", "python"])
      .map((name) => `${folder}/${name}`).find((path) => kindOf(path) === "file");
    if (python === undefined) return [];
    try {
      return [prefixOf(python), prefixOf(Deno.realPathSync(python))];
    } catch {
      return [prefixOf(python)];
    }
  });
}

/** Existing `site-packages` folders: virtual environment, conda, the Pythons on PATH, the user's own. */
export function sites(): string[] {
  const home = variable("HOME");
  const prefixes = [
    variable("VIRTUAL_ENV"),
    variable("CONDA_PREFIX"),
    ...pythonPrefixes(),
    home === undefined ? undefined : `${home}/.local`,
  ].filter((prefix) => prefix !== undefined);
  return distinct(prefixes.flatMap(sitePackages)).filter((path) => kindOf(path) === "folder");
}

/**
 * Folders of the pip wheels, such as `nvidia/cudnn/lib`, and PyTorch's own. An installation that has none is named by what was looked for.
 *
 * @param parts Folders below `nvidia/<wheel>/`
 */
export function wheelFolders(...parts: string[]): string[] {
  return sites().flatMap((site) => {
    const found = [
      ...names(`${site}/nvidia`).flatMap((wheel) => parts.map((p) => `nvidia/${wheel}/${p}`)),
      "torch/lib",
    ].map((path) => `${site}/${path}`).filter((path) => kindOf(path) === "folder");
    return found.length > 0 ? found : [`${site}/nvidia/*/${parts[0]}`];
  });
}

/** Prefixes of CUDA installations: variables, then the usual folders, the newest first. */
export function cudaPrefixes(): string[] {
  const versions = names("/usr/local").filter((name) => /^cuda-\d/.test(name))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return distinct([
    ...folders("CUDA_HOME"),
    ...folders("CUDA_PATH"),
    ...(windows ? [] : ["/usr/local/cuda", ...versions.map((v) => `/usr/local/${v}`), "/opt/cuda"]),
  ]);
}

/** Folders to look for a library in, after the system's loader, in order. */
export function libraryFolders(): string[] {
  const conda = variable("CONDA_PREFIX");
  const products = ["CUDNN_PATH", "CUDNN_HOME", "NCCL_HOME"].flatMap(folders);
  if (windows) {
    return distinct([
      ...wheelFolders("bin", "bin/x86_64", "bin/x64"),
      ...(conda === undefined ? [] : [`${conda}/Library/bin`, `${conda}/bin`]),
      ...[...products, ...cudaPrefixes()].flatMap((p) => [`${p}/bin/x64`, `${p}/bin`]),
    ]);
  }
  const machine = Deno.build.arch === "aarch64" ? "sbsa-linux" : "x86_64-linux";
  return distinct([
    ...wheelFolders("lib"),
    ...(conda === undefined ? [] : [`${conda}/lib`]),
    ...[...products, ...cudaPrefixes()].flatMap((p) => [
      `${p}/lib64`,
      `${p}/lib`,
      `${p}/targets/${machine}/lib`,
    ]),
    `/usr/lib/${Deno.build.arch}-linux-gnu`,
    "/usr/lib64",
    "/usr/lib",
  ]);
}

function distinct(list: readonly string[]): string[] {
  return [...new Set(list)];
}
