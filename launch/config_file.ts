/** The YAML file of settings; accelerate's own files are read where the keys mean the same. */
import {
  keyOf,
  readValue,
  SETTING_NAMES,
  type SettingName,
  settingOf,
  type Settings,
  UsageError,
} from "./settings.ts";
import { nearest } from "./suggest.ts";

/** What a file holds. */
export interface ConfigFile {
  readonly path: string;
  readonly settings: Settings;
  /** Keys of accelerate that change nothing here. */
  readonly unused: readonly string[];
}

/** Keys of accelerate's files without a meaning here, and the value, beside none at all, that asks for nothing. */
const ACCELERATE_KEYS: Readonly<Record<string, unknown>> = {
  compute_environment: "LOCAL_MACHINE",
  debug: true,
  downcast_bf16: "no",
  dynamo_backend: "NO",
  dynamo_config: undefined,
  deepspeed_config: undefined,
  fsdp_config: undefined,
  fp8_config: undefined,
  megatron_lm_config: undefined,
  parallelism_config: undefined,
  mpirun_config: undefined,
  ipex_config: undefined,
  main_training_function: "main",
  rdzv_backend: "static",
  same_network: true,
  fsdp_version: undefined,
  deepspeed_hostfile: undefined,
  commands: undefined,
  command_file: undefined,
  tpu_name: undefined,
  tpu_zone: undefined,
  tpu_env: undefined,
  tpu_use_cluster: undefined,
  tpu_use_sudo: undefined,
};

/** Kinds of launches in accelerate's files: those that need nothing more, and the setting that some stand for. */
const DISTRIBUTED_TYPES: Readonly<Record<string, Settings>> = {
  NO: {},
  MULTI_GPU: {},
  MULTI_CPU: { cpu: true },
};

/** Where the settings of a user lie: `launch.yaml` in the folder `pta` of the folder for settings. */
export function defaultConfigPath(): string | undefined {
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE");
  const base = Deno.env.get("XDG_CONFIG_HOME") || Deno.env.get("APPDATA") ||
    (home === undefined ? undefined : `${home}/.config`);
  return base === undefined ? undefined : `${base}/pta/launch.yaml`;
}

/**
 * Reads the file that was named, else that of `PTA_CONFIG_FILE`, else the user's own when there is one.
 *
 * @throws {UsageError} If a file that was named is missing, or a file is wrong
 */
export async function findConfig(named: string | undefined): Promise<ConfigFile | undefined> {
  const path = named ?? (Deno.env.get("PTA_CONFIG_FILE") || undefined);
  const looked = path ?? defaultConfigPath();
  if (looked === undefined) return undefined;
  let text: string;
  try {
    text = await Deno.readTextFile(looked);
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    if (isMissing && path === undefined) return undefined;
    const why = isMissing ? "there is no such file" : (error as Error).message;
    throw new UsageError(`Cannot read the settings of ${looked}: ${why}`);
  }
  return await parseConfig(text, looked);
}

/**
 * Reads settings from YAML or JSON.
 *
 * @param path Names the file in errors
 * @throws {UsageError} If it is no mapping of known keys to values that fit
 */
export async function parseConfig(text: string, path: string): Promise<ConfigFile> {
  const { parse } = await import("@std/yaml");
  let data: unknown;
  try {
    data = parse(text);
  } catch (error) {
    const [why] = (error as Error).message.split("\n");
    throw new UsageError(`Cannot read the settings of ${path}: ${why.replace(/:$/, "")}`);
  }
  if (data === null || data === undefined) return { path, settings: {}, unused: [] };
  if (typeof data !== "object" || Array.isArray(data)) {
    const found = Array.isArray(data) ? "a list" : `the ${typeof data} ${data}`;
    throw new UsageError(`Cannot read the settings of ${path}: wanted key: value, not ${found}`);
  }
  const byKey = new Map<string, SettingName>();
  for (const name of SETTING_NAMES) {
    const key = keyOf(name);
    if (key !== null) byKey.set(key, name);
  }
  const settings: Record<string, unknown> = {}, unused: string[] = [];
  for (const [written, value] of Object.entries(data)) {
    const key = written.replaceAll("-", "_");
    const name = byKey.get(key);
    if (name !== undefined) {
      if (value === null) continue;
      const shown = `${written}: ${brief(value)} in ${path}`;
      settings[name] = readValue(name, textOf(name, value, shown), shown);
    } else if (key === "distributed_type") {
      const type = DISTRIBUTED_TYPES[String(value)];
      if (type === undefined) unused.push(`${key} ${value}`);
      else for (const [n, v] of Object.entries(type)) settings[n] ??= v;
    } else if (key in ACCELERATE_KEYS) {
      if (!asksForNothing(value, ACCELERATE_KEYS[key])) unused.push(key);
    } else {
      const near = nearest(key, [...byKey.keys()]);
      const hint = near === undefined
        ? `the keys are ${[...byKey.keys()].join(", ")}`
        : `did you mean ${near}?`;
      throw new UsageError(`Unknown key ${written} in ${path}: ${hint}`);
    }
  }
  return { path, settings: settings as Settings, unused };
}

/** Settings as the text of a file. */
export async function writeConfig(settings: Settings): Promise<string> {
  const { stringify } = await import("@std/yaml");
  const data: Record<string, unknown> = {};
  for (const name of SETTING_NAMES) {
    const key = keyOf(name);
    if (key !== null && settings[name] !== undefined) data[key] = settings[name];
  }
  return Object.keys(data).length === 0 ? "" : stringify(data);
}

/** A value as the text of a flag. */
function textOf(name: SettingName, value: unknown, shown: string): string {
  const { kind } = settingOf(name);
  // YAML 1.1 has no for false
  if (value === false && kind === "precision") return "no";
  if (Array.isArray(value) && (kind === "gpus" || kind === "tee")) return value.join(",");
  if (typeof value === "object") {
    const found = Array.isArray(value) ? "a list" : "a mapping";
    throw new UsageError(`Cannot read ${shown}: wanted one value, not ${found}`);
  }
  if (typeof value === "boolean" && kind !== "switch") {
    throw new UsageError(`Cannot read ${shown}: wanted a value, not true or false`);
  }
  return String(value);
}

function brief(value: unknown): string {
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

function asksForNothing(value: unknown, neutral: unknown): boolean {
  if (value === null || value === false || value === "" || value === neutral) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}
