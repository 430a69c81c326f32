/** Everything that can be set: one table behind the flags, the keys of the YAML file, the environment and the help. */

/** A mistake of the user on the command line, in a file or in the environment; its message is one line. */
export class UsageError extends Error {
  /** `UsageError`. */
  override name = "UsageError";
}

/** How a value is written. */
export type Kind = "count" | "seconds" | "switch" | "text" | "gpus" | "tee" | "precision";

/** One thing that can be set. Flag, key and variable are made from its name where they are not stated. */
export interface Setting {
  readonly kind: Kind;
  /** Stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
  /** Smallest and largest count. */
  readonly range?: readonly [number, number];
  /** Environment variables, the first that is set counts. */
  readonly env: readonly string[];
  /** Key in the YAML file where it is not the name in snake_case; `null` when it has no key. */
  readonly key?: string | null;
  /** Asked by `config`, in the order of the table. */
  readonly question?: string;
}

/** The settings, in the order of the help. */
export const SETTINGS = {
  numProcesses: {
    kind: "count",
    value: "N",
    range: [1, 65536],
    help: "ranks over all machines (default: one for each visible GPU, else 1)",
    env: ["PTA_NUM_PROCESSES"],
    question: "How many ranks in all",
  },
  numProcessesPerMachine: {
    kind: "count",
    value: "N",
    range: [1, 1024],
    help: "ranks on each machine, instead of --num-processes",
    env: ["PTA_NUM_PROCESSES_PER_MACHINE", "PET_NPROC_PER_NODE"],
  },
  cpu: {
    kind: "switch",
    help: "train on the CPU (sets PTA_DEVICE=cpu)",
    env: ["PTA_USE_CPU", "ACCELERATE_USE_CPU"],
    key: "use_cpu",
    question: "Train on the CPU, even when there is a GPU",
  },
  gpuIds: {
    kind: "gpus",
    value: "IDS",
    help: "GPUs of this machine, such as 0,2 (default all)",
    env: ["PTA_GPU_IDS"],
    question: "Which GPUs of each machine (all, or numbers such as 0,1)",
  },
  mixedPrecision: {
    kind: "precision",
    value: "P",
    help: "no, fp16 or bf16 (sets PTA_MIXED_PRECISION)",
    env: ["PTA_MIXED_PRECISION", "ACCELERATE_MIXED_PRECISION"],
    question: "Mixed precision (no, fp16, bf16)",
  },
  numCpuThreadsPerProcess: {
    kind: "count",
    value: "N",
    range: [1, 64],
    help: "threads of each rank (sets PTA_THREADS; default: its share of the processors)",
    env: ["PTA_THREADS"],
  },
  enableCpuAffinity: {
    kind: "switch",
    help: "keep each rank on the processors near its GPU, or on its share of them",
    env: ["PTA_CPU_AFFINITY", "ACCELERATE_CPU_AFFINITY"],
  },
  turbo: {
    kind: "switch",
    help: "start the ranks with V8's wide-vector flags (sets PTA_TURBO=1); see Risk below",
    env: ["PTA_TURBO"],
  },
  numMachines: {
    kind: "count",
    value: "N",
    range: [1, 65536],
    help: "machines; start the launcher on each of them",
    env: ["PTA_NUM_MACHINES"],
    question: "How many machines",
  },
  machineRank: {
    kind: "count",
    value: "I",
    range: [0, 65535],
    help: "number of this machine, from 0",
    env: ["PTA_MACHINE_RANK"],
    question: "Number of this machine, from 0",
  },
  mainProcessIp: {
    kind: "text",
    value: "HOST",
    help: "address of machine 0, where the ranks meet",
    env: ["PTA_MAIN_PROCESS_IP", "PET_MASTER_ADDR", "MASTER_ADDR"],
    question: "Address of machine 0",
  },
  mainProcessPort: {
    kind: "count",
    value: "PORT",
    range: [0, 65535],
    help: "port on machine 0 (default: a free one; 29500 on several machines)",
    env: ["PTA_MAIN_PROCESS_PORT", "PET_MASTER_PORT", "MASTER_PORT"],
    question: "Port on machine 0",
  },
  secretFile: {
    kind: "text",
    value: "FILE",
    help: "file with the secret of several machines, unless PTA_LAUNCH_SECRET is set",
    env: ["PTA_SECRET_FILE"],
    question: "File with the secret that all machines share (empty: PTA_LAUNCH_SECRET)",
  },
  maxRestarts: {
    kind: "count",
    value: "N",
    range: [0, 1000],
    help: "start the whole group again after a failure, N times at most (default 0)",
    env: ["PTA_MAX_RESTARTS", "PET_MAX_RESTARTS"],
    question: "How often to start again after a failure",
  },
  timeout: {
    kind: "seconds",
    value: "S",
    help: "longest standstill of a collective or of the start (default 300)",
    env: ["PTA_COMM_TIMEOUT"],
  },
  heartbeatTimeout: {
    kind: "seconds",
    value: "S",
    help: "longest silence of a rank, which tells every second that it lives (default 20)",
    env: ["PTA_HEARTBEAT_TIMEOUT"],
  },
  gracePeriod: {
    kind: "seconds",
    value: "S",
    help: "time to end after Ctrl-C or SIGTERM, before SIGKILL (default 30)",
    env: ["PTA_GRACE_PERIOD"],
  },
  logDir: {
    kind: "text",
    value: "DIR",
    help: "also write the output of each rank to DIR/rank_0.log, ...",
    env: ["PTA_LOG_DIR", "PET_LOG_DIR"],
  },
  tee: {
    kind: "tee",
    value: "RANKS",
    help: "whose output is printed here: all (default), none, or numbers such as 0,3",
    env: ["PTA_TEE"],
  },
  quiet: {
    kind: "switch",
    help: "print the output of rank 0 only; failures are reported all the same",
    env: ["PTA_QUIET"],
  },
  prefix: {
    kind: "text",
    value: "TEXT",
    help: "before each line, with {rank}, {local_rank}, {machine}; none: nothing",
    env: ["PTA_PREFIX"],
  },
} as const satisfies Record<string, Setting>;

/** Name of a setting. */
export type SettingName = keyof typeof SETTINGS;

/** The type of a setting's value. */
export type ValueOf<N extends SettingName> = (typeof SETTINGS)[N]["kind"] extends
  "count" | "seconds" ? number
  : (typeof SETTINGS)[N]["kind"] extends "switch" ? boolean
  : string;

/** Values of settings, where they are set. */
export type Settings = { readonly [N in SettingName]?: ValueOf<N> };

/** Every name, in the order of the table. */
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** The row of a setting, typed for all of them alike. */
export const settingOf = (name: SettingName): Setting => SETTINGS[name];

/** `num-processes` for `numProcesses`. */
export function flagOf(name: SettingName): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Key of a setting in the YAML file: `num_processes`. */
export function keyOf(name: SettingName): string | null {
  const { key } = settingOf(name);
  return key === undefined ? flagOf(name).replaceAll("-", "_") : key;
}

/**
 * Reads the text of a value.
 *
 * @param shown How the text appears to the user: `--num-processes two`
 * @throws {UsageError} If it is no value of the setting
 */
export function readValue<N extends SettingName>(name: N, text: string, shown: string): ValueOf<N> {
  const read = READERS[settingOf(name).kind];
  const value = read(text.trim(), settingOf(name));
  if (typeof value === "object") throw new UsageError(`Cannot read ${shown}: ${value.wanted}`);
  return value as ValueOf<N>;
}

/** A value, or what was wanted. */
type Read = string | number | boolean | { readonly wanted: string };

const READERS: Record<Kind, (text: string, setting: Setting) => Read> = {
  count: (text, { range: [low, high] = [0, 2 ** 31] }) => {
    const value = Number(text);
    const fits = /^\d+$/.test(text) && value >= low && value <= high;
    return fits ? value : { wanted: `wanted a whole number from ${low} to ${high}` };
  },
  seconds: (text) => {
    const value = Number(text);
    const fits = text !== "" && value > 0 && value <= 1e6;
    return fits ? value : { wanted: "wanted seconds, more than 0 and at most 1000000" };
  },
  switch: (text) => {
    const known: Record<string, boolean> = { true: true, yes: true, on: true, 1: true };
    Object.assign(known, { false: false, no: false, off: false, 0: false });
    return known[text.toLowerCase()] ?? { wanted: "wanted true or false" };
  },
  text: (text) => text === "" ? { wanted: "wanted a text" } : text,
  gpus: (text) => {
    if (text === "all") return text;
    const ids = text.split(",").map((id) => id.trim());
    if (!ids.every((id) => /^\d{1,4}$/.test(id))) {
      return { wanted: "wanted all, or numbers with commas such as 0,1" };
    }
    const twice = ids.find((id, i) => ids.indexOf(id) !== i);
    return twice === undefined ? ids.join(",") : { wanted: `GPU ${twice} is named twice` };
  },
  tee: (text) => {
    if (text === "all" || text === "none" || /^\d+(,\d+)*$/.test(text)) return text;
    return { wanted: "wanted all, none, or numbers of ranks with commas such as 0,3" };
  },
  precision: (text) => {
    if (["no", "fp16", "bf16"].includes(text)) return text;
    const fp8 = text === "fp8" ? "fp8 is not supported, " : "";
    return { wanted: `${fp8}wanted no, fp16 or bf16` };
  },
};
