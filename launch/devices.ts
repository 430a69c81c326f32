/** GPUs and processors of this machine, found by looking at files: the launcher opens no device. */

/** Ids of the GPUs that a program here would see, as `CUDA_VISIBLE_DEVICES` names them. */
export function visibleGpus(): string[] {
  const chosen = Deno.env.get("CUDA_VISIBLE_DEVICES");
  if (chosen !== undefined) {
    const ids = chosen.split(",").map((id) => id.trim());
    // CUDA stops at the first id that is none
    const end = ids.findIndex((id) => id === "" || id.startsWith("-"));
    return end < 0 ? ids : ids.slice(0, end);
  }
  const count = Deno.build.os === "windows" ? askDriver() : deviceFiles();
  return Array.from({ length: count }, (_, i) => String(i));
}

/** Containers hold the device files of their own GPUs only. */
function deviceFiles(): number {
  try {
    return [...Deno.readDirSync("/dev")].filter((f) => /^nvidia\d+$/.test(f.name)).length;
  } catch {
    return 0;
  }
}

function askDriver(): number {
  try {
    const { stdout } = new Deno.Command("nvidia-smi", { args: ["-L"], stderr: "null" })
      .outputSync();
    return new TextDecoder().decode(stdout).split("\n").filter((l) => l.startsWith("GPU ")).length;
  } catch {
    return 0;
  }
}

/** Processors of each NUMA node, as Linux writes them: `0-3,8-11`. */
export function numaNodes(): string[] {
  try {
    return [...Deno.readDirSync("/sys/devices/system/node")]
      .map(({ name }) => /^node(\d+)$/.exec(name)).filter((m) => m !== null)
      .sort((a, b) => Number(a[1]) - Number(b[1]))
      .map(([name]) => Deno.readTextFileSync(`/sys/devices/system/node/${name}/cpulist`).trim())
      .filter((list) => list !== "");
  } catch {
    return [];
  }
}

/** NUMA node of a GPU by its number, where the driver and the system say. */
export function numaNodeOfGpu(id: string): number | undefined {
  try {
    for (const { name } of Deno.readDirSync("/proc/driver/nvidia/gpus")) {
      const facts = Deno.readTextFileSync(`/proc/driver/nvidia/gpus/${name}/information`);
      if (/Device Minor:\s*(\d+)/.exec(facts)?.[1] !== id) continue;
      const node = Number(Deno.readTextFileSync(`/sys/bus/pci/devices/${name}/numa_node`));
      return node >= 0 ? node : undefined;
    }
  } catch {
    // no such driver, or a virtual machine that does not say
  }
  return undefined;
}

/** A list of processors such as `0-3,8`, number by number. */
export function expandCpus(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/**
 * Words that go before the command of a rank so that it stays on some processors; none where the system cannot.
 *
 * @param gpu Id of its GPU, `undefined` for a rank on the CPU
 */
export function affinityWords(localRank: number, localWorldSize: number, gpu?: string): string[] {
  if (Deno.build.os !== "linux") return [];
  const nodes = numaNodes();
  if (nodes.length === 0) return [];
  const node = (gpu === undefined ? undefined : numaNodeOfGpu(gpu)) ??
    Math.floor(localRank * nodes.length / localWorldSize);
  if (node >= nodes.length) return [];
  // with one node there is only the share of it
  if (nodes.length > 1 && inPath("numactl")) {
    return ["numactl", `--cpunodebind=${node}`, `--membind=${node}`];
  }
  if (!inPath("taskset")) return [];
  if (nodes.length > 1) return ["taskset", "-c", nodes[node]];
  const cpus = expandCpus(nodes[0]), share = cpus.length / localWorldSize;
  const own = cpus.slice(Math.floor(localRank * share), Math.floor((localRank + 1) * share));
  return own.length === 0 ? [] : ["taskset", "-c", own.join(",")];
}

/** Whether a program can be started by its name. */
export function inPath(program: string): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((folder) => {
    try {
      return folder !== "" && Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}
