/** What the starters of clusters say in the environment: Slurm's srun, torchrun, Kubernetes, and what follows their names. */
import { RankEnv } from "@pta/core/dist/rank";
import { type Settings, UsageError } from "./settings.ts";

/** This launcher was itself started once for each rank, and starts that one. */
export interface Adopted {
  readonly rank: number;
  readonly worldSize: number;
  readonly localRank: number;
  readonly localWorldSize: number;
}

/** What the environment says of machines and ranks. */
export interface Cluster {
  /** Who said so: `Slurm`, `PET_NNODES` or `RANK and WORLD_SIZE`. */
  readonly source: string;
  readonly settings: Settings;
  readonly adopted?: Adopted;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Set by torchrun when its own store is at the address that it tells. */
export const AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE";

/** First of the ports that jobs of a Slurm cluster take by their numbers. */
const SLURM_PORTS = [20000, 20000] as const;

/**
 * Reads a cluster's variables.
 *
 * @throws {UsageError} If they contradict each other
 */
export function readCluster(vars: Env): Cluster | undefined {
  // a rank of ours that starts a launcher of its own is nobody's rank there
  if (vars[RankEnv.launcherPid] !== undefined) return undefined;
  return readMachines(vars) ?? readRanks(vars) ?? readSlurm(vars);
}

/** Kubernetes' operators count machines where others count ranks, and say so by torchrun's names. */
function readMachines(vars: Env): Cluster | undefined {
  if (vars.PET_NNODES === undefined || vars[RankEnv.localRank] !== undefined) return undefined;
  const numMachines = number(vars, "PET_NNODES", 1, 1 << 16);
  const name = vars.PET_NODE_RANK === undefined ? RankEnv.rank : "PET_NODE_RANK";
  const machineRank = number(vars, name, 0, numMachines - 1, numMachines === 1 ? 0 : undefined);
  return { source: "PET_NNODES", settings: { numMachines, machineRank } };
}

function readRanks(vars: Env): Cluster | undefined {
  if (vars[RankEnv.rank] === undefined || vars[RankEnv.worldSize] === undefined) return undefined;
  const worldSize = number(vars, RankEnv.worldSize, 1, 1 << 20);
  const localWorldSize = number(vars, RankEnv.localWorldSize, 1, worldSize, worldSize);
  const rank = number(vars, RankEnv.rank, 0, worldSize - 1);
  const localRank = number(vars, RankEnv.localRank, 0, localWorldSize - 1, rank % localWorldSize);
  // torchrun itself listens on the port that it tells; all ranks see the same
  const isTaken = vars[AGENT_STORE] === "True" && vars[RankEnv.masterPort] !== undefined;
  const mainProcessPort = isTaken ? number(vars, RankEnv.masterPort, 1, 65534) + 1 : undefined;
  return {
    source: "RANK and WORLD_SIZE",
    settings: isTaken ? { mainProcessPort } : {},
    adopted: { rank, worldSize, localRank, localWorldSize },
  };
}

/** Inside `srun` only: in a batch script without it there is one launcher, on the first machine. */
function readSlurm(vars: Env): Cluster | undefined {
  if (vars.SLURM_STEP_NUM_TASKS === undefined || vars.SLURM_PROCID === undefined) return undefined;
  const tasks = number(vars, "SLURM_STEP_NUM_TASKS", 1, 1 << 20);
  const nodes = number(vars, "SLURM_STEP_NUM_NODES", 1, tasks, 1);
  if (tasks === 1) return undefined;
  const job = number(vars, "SLURM_JOB_ID", 0, 2 ** 31, 0);
  const list = vars.SLURM_STEP_NODELIST ?? vars.SLURM_JOB_NODELIST;
  const settings: Settings = {
    ...(list === undefined || vars.MASTER_ADDR ? {} : { mainProcessIp: firstHost(list) }),
    ...(vars.MASTER_PORT ? {} : { mainProcessPort: SLURM_PORTS[0] + job % SLURM_PORTS[1] }),
  };
  if (tasks === nodes) {
    const machineRank = number(vars, "SLURM_NODEID", 0, nodes - 1);
    return { source: "Slurm", settings: { ...settings, numMachines: nodes, machineRank } };
  }
  const node = number(vars, "SLURM_NODEID", 0, nodes - 1, 0);
  const perNode = vars.SLURM_STEP_TASKS_PER_NODE ?? `${tasks / nodes}(x${nodes})`;
  const localWorldSize = tasksPerNode(perNode)[node] ?? tasks;
  return {
    source: "Slurm",
    settings,
    adopted: {
      rank: number(vars, "SLURM_PROCID", 0, tasks - 1),
      worldSize: tasks,
      localRank: number(vars, "SLURM_LOCALID", 0, localWorldSize - 1),
      localWorldSize,
    },
  };
}

/** `2(x3),1` as one number a node: 2, 2, 2, 1. */
export function tasksPerNode(text: string): number[] {
  return text.split(",").flatMap((part) => {
    const match = /^(\d+)(?:\(x(\d+)\))?$/.exec(part.trim());
    if (match === null) throw new UsageError(`Cannot read SLURM_STEP_TASKS_PER_NODE=${text}`);
    return Array<number>(Number(match[2] ?? 1)).fill(Number(match[1]));
  });
}

/** First machine of a list such as `gpu[07-09,12],login`. */
export function firstHost(list: string): string {
  return list.replace(
    /^([^,[]*)(?:\[(\d+)[^\]]*\]([^,[]*))?.*$/,
    (_, head, first = "", tail = "") => `${head}${first}${tail}`,
  );
}

function number(vars: Env, name: string, low: number, high: number, missing?: number): number {
  const text = vars[name];
  if (text === undefined || text === "") {
    if (missing !== undefined) return missing;
    throw new UsageError(`Cannot read the cluster's environment: ${name} is not set`);
  }
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw new UsageError(
      `Cannot read ${name}=${text}: wanted a whole number from ${low} to ${high}`,
    );
  }
  return value;
}
