/** Options of a launch from a program. */
import type { Settings } from "./settings.ts";

/** Options of a launch from a program; the command line has flags of the same names. */
export interface LaunchOptions {
  /** Script that every rank runs, a path or a URL; by default the running program itself. */
  readonly script?: string | URL;
  /** Arguments of the script; by default those of the running program when that is what runs, else none. */
  readonly args?: readonly string[];
  /** Number of ranks over all machines; by default one for each visible GPU, else 1. */
  readonly numProcesses?: number;
  /** Number of ranks on each machine, instead of `numProcesses`. */
  readonly numProcessesPerMachine?: number;
  /** Train on the CPU. */
  readonly cpu?: boolean;
  /** GPUs of this machine: `all`, or numbers such as `0,2`. */
  readonly gpuIds?: string;
  /** `no`, `fp16` or `bf16`. */
  readonly mixedPrecision?: string;
  /** Threads of each rank; by default its share of the processors. */
  readonly numCpuThreadsPerProcess?: number;
  /** Keep each rank on the processors near its GPU, or on its share of them. */
  readonly enableCpuAffinity?: boolean;
  /** Start the ranks with V8's wide-vector flags, which switch off WebAssembly's bounds checks. */
  readonly turbo?: boolean;
  /** Number of machines, 1 by default; start a launcher on each. */
  readonly numMachines?: number;
  /** Number of this machine, from 0. */
  readonly machineRank?: number;
  /** Address of machine 0. */
  readonly mainProcessIp?: string;
  /** Port on machine 0; by default a free one, 29500 on several machines. */
  readonly mainProcessPort?: number;
  /** File with the secret that several machines share, unless `PTA_LAUNCH_SECRET` is set. */
  readonly secretFile?: string;
  /** How often the whole group is started again after a failure, 0 by default. */
  readonly maxRestarts?: number;
  /** Seconds that a collective or the start may stand still, 300 by default. */
  readonly timeout?: number;
  /** Seconds that a rank may be silent, 20 by default: suspended, or blocked as a whole. */
  readonly heartbeatTimeout?: number;
  /** Seconds to end after Ctrl-C or SIGTERM before SIGKILL, 30 by default. */
  readonly gracePeriod?: number;
  /** Folder for one log file per rank; made when missing. */
  readonly logDir?: string;
  /** Whose output is printed: `all`, `none`, or numbers such as `0,3`. */
  readonly tee?: string;
  /** Print the output of rank 0 only. */
  readonly quiet?: boolean;
  /** Before each line, with `{rank}`, `{local_rank}`, `{machine}`; `none` for nothing. */
  readonly prefix?: string;
}

/** The settings among the options. */
export function settingsOf(options: LaunchOptions): Settings {
  const { script: _script, args: _args, ...settings } = options;
  return settings;
}
