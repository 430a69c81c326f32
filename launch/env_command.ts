/** `env`: what somebody needs to know to help. The libraries are looked for by a script of its own. */
import { readFlags } from "./args.ts";
import { findConfig } from "./config_file.ts";
import { visibleGpus } from "./devices.ts";
import { UsageError } from "./settings.ts";
import { runChild } from "./child.ts";

/** Runs `env`. */
export async function envCommand(args: readonly string[]): Promise<number> {
  const { rest, configFile } = readFlags(args, { settings: true, anywhere: true });
  if (rest.length > 0) throw new UsageError(`Unexpected ${rest[0]}: env takes no words`);
  const { deno, v8, typescript } = Deno.version;
  const memory = Deno.systemMemoryInfo();
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const lines: [string, string][] = [
    ["Deno", `${deno} (V8 ${v8}, TypeScript ${typescript})`],
    ["System", `${Deno.build.target}, ${Deno.osRelease()}${distribution()}`],
    ["Processor", `${processor()}, ${navigator.hardwareConcurrency} threads`],
    ["Memory", `${gib(memory.total)}, ${gib(memory.available)} free`],
    ["GPUs visible", visibleGpus().join(", ") || "none"],
    ...gpus(),
  ];
  for (const [name, value] of lines) console.log(`${name}: ${value}`);
  const { code, out, err } = await runChild("libraries.ts", []);
  console.log(
    code === 0 ? out.trimEnd() : `Libraries: not examined (${err.trim().split("\n")[0]})`,
  );
  const vars = Object.entries(Deno.env.toObject()).filter(([name]) =>
    /^(PTA_|CUDA_VISIBLE|NCCL_|SLURM_STEP|RANK$|WORLD_SIZE$|MASTER_)/.test(name)
  ).sort();
  console.log(`Variables:${vars.length === 0 ? " none" : ""}`);
  for (const [name, value] of vars) {
    console.log(`  ${name}=${/SECRET|TOKEN|KEY/.test(name) ? "(not shown)" : value}`);
  }
  try {
    const config = await findConfig(configFile);
    console.log(`Settings: ${config?.path ?? "no file"}`);
    for (const [name, value] of Object.entries(config?.settings ?? {})) {
      console.log(`  ${name}: ${value}`);
    }
  } catch (error) {
    // a broken file is one of the facts to report
    console.log(`Settings: ${(error as Error).message}`);
  }
  return 0;
}

function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

function distribution(): string {
  const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(read("/etc/os-release"))?.[1];
  return name === undefined ? "" : ` (${name})`;
}

function processor(): string {
  return /^model name\s*:\s*(.*)$/m.exec(read("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
}

function gpus(): [string, string][] {
  const driver = /Kernel Module\s+(?:for \S+\s+)?(\S+)/.exec(read("/proc/driver/nvidia/version"));
  if (driver === null && visibleGpus().length === 0) return [];
  try {
    const query = ["--query-gpu=index,name,memory.total,driver_version", "--format=csv,noheader"];
    const { stdout } = new Deno.Command("nvidia-smi", { args: query, stderr: "null" }).outputSync();
    return new TextDecoder().decode(stdout).trim().split("\n")
      .map((line) => [`GPU ${line.split(",")[0]}`, line.split(",").slice(1).join(",").trim()]);
  } catch {
    return [["Driver", driver?.[1] ?? "unknown"]];
  }
}
