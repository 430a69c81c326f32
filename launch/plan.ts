/** What to start: the command of each rank and its environment. */
import { RankEnv } from "@pta/core/dist/rank";
import { AGENT_STORE } from "./cluster.ts";
import { affinityWords, visibleGpus } from "./devices.ts";
import type { Resolved } from "./resolve.ts";
import { makeSecret, readSecret } from "./secret.ts";
import { type Settings, UsageError } from "./settings.ts";

/** What every rank runs. */
export interface Program {
  /** A path or a URL; `undefined`: the running program itself. */
  readonly script: string | undefined;
  readonly args: readonly string[];
}

/** One process to start. */
export interface RankCommand {
  readonly rank: number;
  readonly localRank: number;
  /** `cpu`, `cuda:0`, or what `PTA_DEVICE` says. */
  readonly device: string;
  readonly exec: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Everything that is decided before the start. */
export interface LaunchPlan {
  readonly worldSize: number;
  readonly numMachines: number;
  readonly machineRank: number;
  readonly masterAddr: string;
  readonly masterPort: number;
  /** Ranks of this machine, in order. */
  readonly ranks: readonly RankCommand[];
  readonly warnings: readonly string[];
}

/** Where the ranks of this machine stand among all. */
interface World {
  readonly worldSize: number;
  readonly localWorldSize: number;
  readonly numMachines: number;
  readonly machineRank: number;
  readonly ranks: readonly { readonly rank: number; readonly localRank: number }[];
}

const TURBO_FLAGS = ["--no-wasm-bounds-checks", "--experimental-wasm-revectorize"];
const PORT_OF_MACHINES = 29500;

/**
 * Decides what to start. Each start of a group has a plan of its own, with a fresh port and secret.
 *
 * @param restart How often the group was started before
 * @param isCompiled Whether the running program is a binary of `deno compile`, which starts itself
 * @throws {UsageError} If the settings contradict each other or this machine
 */
export function planLaunch(
  resolved: Resolved,
  program: Program,
  restart: number,
  isCompiled: boolean = Deno.build.standalone,
): LaunchPlan {
  const { values } = resolved;
  const gpus = gpusOf(values);
  const world = resolved.adopted === undefined ? worldOf(values, gpus) : {
    ...resolved.adopted,
    numMachines: 1,
    machineRank: 0,
    ranks: [resolved.adopted],
  };
  const devices = devicesOf(world, values, gpus);
  const isAlone = world.numMachines === 1 && resolved.adopted === undefined;
  const warnings = [...resolved.warnings];
  const masterAddr = addressOf(values, isAlone, resolved.adopted?.worldSize);
  const masterPort = portOf(values, isAlone, world, masterAddr, warnings);
  const shared: Record<string, string> = {
    [RankEnv.worldSize]: String(world.worldSize),
    [RankEnv.localWorldSize]: String(world.localWorldSize),
    [RankEnv.masterAddr]: masterAddr,
    [RankEnv.masterPort]: String(masterPort),
    [RankEnv.secret]: isAlone || world.worldSize === 1
      ? makeSecret()
      : readSecret(values.secretFile, restart),
    [RankEnv.launcherPid]: String(Deno.pid),
    [RankEnv.restartCount]: String(restart),
    // the port is the right one already
    ...(Deno.env.get(AGENT_STORE) === undefined ? {} : { [AGENT_STORE]: "False" }),
    ...(restart > 0 ? { [RankEnv.resume]: "latest" } : {}),
    ...sharedSettings(values, world.localWorldSize),
  };
  const standalone = isCompiled && program.script === undefined;
  const script = program.script ?? Deno.mainModule;
  const flags = values.turbo ? [`--v8-flags=${TURBO_FLAGS.join(",")}`] : [];
  // a compiled program takes V8's flags from the environment only
  if (values.turbo && standalone) shared.DENO_V8_FLAGS = TURBO_FLAGS.join(",");
  const args = standalone ? program.args : ["run", "-A", ...flags, script, ...program.args];
  const ranks = world.ranks.map(({ rank, localRank }, i) => {
    const { device, gpu, env } = devices[i];
    const before = values.enableCpuAffinity
      ? affinityWords(localRank, world.localWorldSize, gpu)
      : [];
    const [exec, ...words] = [...before, Deno.execPath(), ...args];
    return {
      rank,
      localRank,
      device,
      exec,
      args: words,
      env: {
        ...shared,
        ...env,
        [RankEnv.rank]: String(rank),
        [RankEnv.localRank]: String(localRank),
      },
    };
  });
  const { worldSize, numMachines, machineRank } = world;
  return { worldSize, numMachines, machineRank, masterAddr, masterPort, ranks, warnings };
}

/** GPUs to use: empty when the ranks train on the CPU or on another device. */
function gpusOf(values: Settings): readonly string[] {
  if (values.cpu) return [];
  const { gpuIds } = values;
  if (gpuIds !== undefined && gpuIds !== "all") return gpuIds.split(",");
  const device = Deno.env.get(RankEnv.device);
  if (device !== undefined && !/^cuda\b/.test(device)) return [];
  return visibleGpus();
}

function worldOf(values: Settings, gpus: readonly string[]): World {
  const { numMachines = 1, machineRank = 0, numProcesses, numProcessesPerMachine } = values;
  if (machineRank >= numMachines) {
    throw new UsageError(
      `Cannot be machine ${machineRank} of ${numMachines}: wanted a number from 0 to ${
        numMachines - 1
      }`,
    );
  }
  if (numProcesses !== undefined && numProcesses % numMachines !== 0) {
    throw new UsageError(
      `Cannot spread ${numProcesses} ranks over ${numMachines} machines evenly: --num-processes counts the ranks of all machines`,
    );
  }
  const perMachine = numProcesses === undefined ? undefined : numProcesses / numMachines;
  if (perMachine !== undefined && (numProcessesPerMachine ?? perMachine) !== perMachine) {
    throw new UsageError(
      `Cannot start ${numProcesses} ranks on ${numMachines} machines with ${numProcessesPerMachine} each: leave one of --num-processes and --num-processes-per-machine out`,
    );
  }
  const local = perMachine ?? numProcessesPerMachine ?? Math.max(1, gpus.length);
  if (local > 1024) {
    throw new UsageError(`Cannot start ${local} ranks on one machine: 1024 at most`);
  }
  return {
    worldSize: local * numMachines,
    localWorldSize: local,
    numMachines,
    machineRank,
    ranks: Array.from({ length: local }, (_, i) => ({
      rank: machineRank * local + i,
      localRank: i,
    })),
  };
}

interface RankDevice {
  readonly device: string;
  readonly gpu?: string;
  readonly env: Record<string, string>;
}

function devicesOf(world: World, values: Settings, gpus: readonly string[]): RankDevice[] {
  if (values.cpu) {
    return world.ranks.map(() => ({ device: "cpu", env: { [RankEnv.device]: "cpu" } }));
  }
  if (gpus.length === 0) {
    return world.ranks.map(() => ({ device: Deno.env.get(RankEnv.device) ?? "cpu", env: {} }));
  }
  const isShared = Deno.env.get("NCCL_MULTI_RANK_GPU_ENABLE") === "1";
  if (world.localWorldSize > gpus.length && !isShared) {
    throw new UsageError(
      `Cannot start ${world.localWorldSize} ranks on ${gpus.length} GPU${
        gpus.length === 1 ? "" : "s"
      }: each takes one; --cpu trains on the CPU`,
    );
  }
  const isChosen = values.gpuIds !== undefined && values.gpuIds !== "all";
  return world.ranks.map(({ localRank }) => {
    const gpu = gpus[localRank % gpus.length];
    const env: Record<string, string> = {};
    if (Deno.env.get(RankEnv.device) === undefined) env[RankEnv.device] = "cuda";
    if (world.localWorldSize > gpus.length) env.CUDA_VISIBLE_DEVICES = gpu;
    else if (isChosen) env.CUDA_VISIBLE_DEVICES = gpus.join(",");
    return { device: `cuda:${localRank % gpus.length} (GPU ${gpu})`, gpu, env };
  });
}

function sharedSettings(values: Settings, localWorldSize: number): Record<string, string> {
  const env: Record<string, string> = {};
  if (values.turbo) env[RankEnv.turbo] = "1";
  if (values.timeout !== undefined) env[RankEnv.timeout] = String(values.timeout);
  if (values.heartbeatTimeout !== undefined) {
    env[RankEnv.heartbeat] = String(values.heartbeatTimeout);
  }
  if (values.mixedPrecision !== undefined) env[RankEnv.mixedPrecision] = values.mixedPrecision;
  const { numCpuThreadsPerProcess: threads } = values;
  if (threads !== undefined) env[RankEnv.threads] = String(threads);
  else if (localWorldSize > 1) {
    const share = Math.floor(navigator.hardwareConcurrency / localWorldSize);
    env[RankEnv.threads] = String(Math.max(1, share));
  }
  return env;
}

function addressOf(values: Settings, isAlone: boolean, adopted: number | undefined): string {
  const { mainProcessIp } = values;
  if (mainProcessIp !== undefined) return mainProcessIp;
  if (isAlone || adopted === 1) return "127.0.0.1";
  throw new UsageError(
    adopted === undefined
      ? "Cannot meet the other machines: --main-process-ip must name machine 0"
      : "Cannot meet the other ranks: MASTER_ADDR must name the machine of rank 0",
  );
}

function portOf(
  values: Settings,
  isAlone: boolean,
  world: World,
  hostname: string,
  warnings: string[],
): number {
  const wanted = values.mainProcessPort;
  if (isAlone) {
    if (wanted === undefined || wanted === 0) return tryPort(hostname, 0);
    try {
      return tryPort(hostname, wanted);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      const other = tryPort(hostname, 0);
      warnings.push(`Port ${wanted} is in use, the ranks meet at ${other}`);
      return other;
    }
  }
  if (wanted === 0) {
    throw new UsageError(
      "Cannot choose a free port for several machines: --main-process-port must be the same on all of them",
    );
  }
  const port = wanted ?? PORT_OF_MACHINES;
  if (world.ranks.some(({ rank }) => rank === 0)) {
    try {
      tryPort(hostname, port);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
      throw new UsageError(
        `Cannot listen on port ${port}: it is in use; give another --main-process-port on all machines`,
      );
    }
  }
  return port;
}

/** A port that can be listened on, `port` itself unless that is 0. */
function tryPort(hostname: string, port: number): number {
  try {
    using listener = Deno.listen({ hostname, port });
    return listener.addr.port;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) throw error;
    const isElsewhere = error instanceof Deno.errors.AddrNotAvailable;
    throw new UsageError(
      `Cannot listen on ${hostname}:${port}: ${
        isElsewhere ? "no such address on this machine" : (error as Error).message
      } (--main-process-ip must name machine 0, which is this one)`,
    );
  }
}
