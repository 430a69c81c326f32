/** Where each setting comes from: flag, environment, cluster, file, default. */
import { type Adopted, readCluster } from "./cluster.ts";
import { type ConfigFile, findConfig } from "./config_file.ts";
import {
  readValue,
  SETTING_NAMES,
  type SettingName,
  settingOf,
  type Settings,
} from "./settings.ts";

/** All settings with their sources. */
export interface Resolved {
  /** Those that somebody has set. */
  readonly values: Settings;
  /** Who set each: `flag`, `environment NAME`, `environment (Slurm)`, `file PATH`; absent: default. */
  readonly sources: Readonly<Partial<Record<SettingName, string>>>;
  /** The one rank that this launcher was started for. */
  readonly adopted: Adopted | undefined;
  readonly config: ConfigFile | undefined;
  /** Lines to show before the start. */
  readonly warnings: readonly string[];
}

/** Variables that other programs leave behind on a single machine, where they mean nothing. */
const SHARED_NAMES = new Set(["MASTER_ADDR", "MASTER_PORT"]);

/**
 * Gathers the settings; the first source that knows one counts.
 *
 * @param flags What the command line or a program says
 * @param configFile Path of the file, `undefined` for the usual one, `null` for none
 * @throws {UsageError} If a value of the environment or the file is wrong
 */
export async function resolveSettings(
  flags: Settings,
  configFile: string | undefined | null,
): Promise<Resolved> {
  const vars = Deno.env.toObject();
  const isSet = (name: SettingName) => flags[name] !== undefined;
  const ownsRanks = isSet("numProcesses") || isSet("numProcessesPerMachine") ||
    isSet("numMachines") || isSet("machineRank");
  const cluster = ownsRanks ? undefined : readCluster(vars);
  const config = configFile === null ? undefined : await findConfig(configFile);
  const values: Record<string, unknown> = {};
  const warnings: string[] = [];
  const sources: Partial<Record<SettingName, string>> = {};
  const set = (name: SettingName, value: unknown, source: string) => {
    if (value === undefined || values[name] !== undefined) return;
    values[name] = value;
    sources[name] = source;
  };
  const fromEnv = (shared: boolean) => {
    for (const name of SETTING_NAMES) {
      for (const key of settingOf(name).env) {
        const text = vars[key];
        if (text === undefined || text === "" || SHARED_NAMES.has(key) !== shared) continue;
        if (values[name] === undefined && !isOurs(key) && !canRead(name, text)) {
          warnings.push(`${key}=${text} has no effect here`);
        } else set(name, readValue(name, text, `${key}=${text}`), `environment ${key}`);
      }
    }
    if (!shared && vars.PTA_DEVICE === "cpu") set("cpu", true, "environment PTA_DEVICE");
  };
  for (const name of SETTING_NAMES) set(name, flags[name], "flag");
  fromEnv(false);
  for (const name of SETTING_NAMES) {
    set(name, cluster?.settings[name], `environment (${cluster?.source})`);
  }
  const machines = [values, config?.settings].find((s) => s?.numMachines);
  if (Number(machines?.numMachines ?? 1) > 1 || cluster?.adopted !== undefined) fromEnv(true);
  for (const name of SETTING_NAMES) {
    set(name, config?.settings[name], `file ${config?.path}`);
  }
  dropRivals(values, sources);
  const unused = config?.unused ?? [];
  return {
    values: values as Settings,
    sources,
    adopted: cluster?.adopted,
    config,
    warnings: unused.length === 0
      ? warnings
      : [...warnings, `${config!.path} sets what has no effect here: ${unused.join(", ")}`],
  };
}

/** What others mean by their variables may be more than we know: `PET_NPROC_PER_NODE=auto`. */
const isOurs = (key: string) => !/^(PET|ACCELERATE)_/.test(key);

function canRead(name: SettingName, text: string): boolean {
  try {
    readValue(name, text, "");
    return true;
  } catch {
    return false;
  }
}

/** Two ways to say how many ranks: the stronger source counts, so that a flag needs no second one to undo a file. */
function dropRivals(
  values: Record<string, unknown>,
  sources: Partial<Record<SettingName, string>>,
): void {
  const [all, each] = ["numProcesses", "numProcessesPerMachine"] as const;
  const strength = (name: SettingName) =>
    ["flag", "environment", "file"].indexOf(sources[name]?.split(" ")[0] ?? "");
  if (values[all] === undefined || values[each] === undefined) return;
  if (strength(all) === strength(each)) return;
  const weaker = strength(all) < strength(each) ? each : all;
  delete values[weaker];
  delete sources[weaker];
}
