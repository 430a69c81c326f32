/** What holds when nobody sets a value, for people. */
import { visibleGpus } from "./devices.ts";
import type { SettingName, Settings } from "./settings.ts";

const DEFAULTS: Readonly<Record<SettingName, (values: Settings) => string>> = {
  numProcesses: (values) => {
    const { numMachines = 1, numProcessesPerMachine, cpu, gpuIds = "all" } = values;
    const gpus = cpu ? 0 : gpuIds === "all" ? visibleGpus().length : gpuIds.split(",").length;
    return String((numProcessesPerMachine ?? Math.max(1, gpus)) * numMachines);
  },
  numProcessesPerMachine: ({ numProcesses, numMachines = 1 }) =>
    numProcesses === undefined ? "one for each GPU, else 1" : String(numProcesses / numMachines),
  cpu: () => "false",
  gpuIds: () => "all",
  mixedPrecision: () => "no",
  numCpuThreadsPerProcess: () => "its share of the processors",
  enableCpuAffinity: () => "false",
  turbo: () => "false",
  numMachines: () => "1",
  machineRank: () => "0",
  mainProcessIp: () => "127.0.0.1",
  mainProcessPort: ({ numMachines = 1 }) => numMachines > 1 ? "29500" : "a free one",
  secretFile: () => "none",
  maxRestarts: () => "0",
  timeout: () => "300",
  heartbeatTimeout: () => "20",
  gracePeriod: () => "30",
  logDir: () => "none",
  tee: ({ quiet }) => quiet ? "0" : "all",
  quiet: () => "false",
  prefix: () => "[rank {rank}] with several ranks",
};

/** The default of a setting, given what is set. */
export function defaultOf(name: SettingName, values: Settings): string {
  return DEFAULTS[name](values);
}
