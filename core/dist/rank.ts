/**
 * Names of the environment variables by which a launcher tells each rank who it is. The launcher imports this
 * file and nothing else of the core.
 *
 * @module
 */
import { env } from "../env.ts";

/** Environment variables of a rank; the first six are the ecosystem's usual names. */
export const RankEnv = {
  rank: "RANK",
  localRank: "LOCAL_RANK",
  worldSize: "WORLD_SIZE",
  localWorldSize: "LOCAL_WORLD_SIZE",
  masterAddr: "MASTER_ADDR",
  masterPort: "MASTER_PORT",
  secret: "PTA_LAUNCH_SECRET",
  launcherPid: "PTA_LAUNCHER_PID",
  timeout: "PTA_COMM_TIMEOUT",
  heartbeat: "PTA_HEARTBEAT_TIMEOUT",
  /** `0`: ranks of one machine use connections only, and no shared memory. */
  sharedMemory: "PTA_SHARED_MEMORY",
  device: "PTA_DEVICE",
  turbo: "PTA_TURBO",
  threads: "PTA_THREADS",
  /** Folder of this launch in which each rank leaves its {@linkcode RankStatus}. */
  reportDir: "PTA_REPORT_DIR",
  /** How often the launcher has restarted the group; 0 at first. */
  restartCount: "PTA_RESTART_COUNT",
  /** `latest` after a restart: go on from the last training state. */
  resume: "PTA_RESUME",
  /** `no`, `fp16` or `bf16`. */
  mixedPrecision: "PTA_MIXED_PRECISION",
} as const;

/**
 * What a rank writes to `rank_<rank>.json` in the folder `PTA_REPORT_DIR` about once a second (to a file beside it, then
 * renamed), so that the launcher sees whether it lives and can say what it was doing.
 */
export interface RankStatus {
  /** Time of this heartbeat, in milliseconds since 1970. */
  readonly time: number;
  /** `starting`: meets the others; `running`: computes; `waiting`: blocked in a collective. */
  readonly state: "starting" | "running" | "waiting" | "failed" | "closed";
  /** The collective under way, or the last one, for people: `allReduce of 1000 float32, #12, at train.ts:10:5`. */
  readonly collective?: string;
  /** Since when it is in this state, in milliseconds since 1970. */
  readonly since?: number;
  /** Why it failed. */
  readonly error?: string;
}

/** Who this process is among all ranks, and where they meet. */
export interface Rank {
  /** From 0 to `worldSize - 1`, over all machines. */
  readonly rank: number;
  /** Number of ranks over all machines. */
  readonly worldSize: number;
  /** From 0 to `localWorldSize - 1`, on this machine. */
  readonly localRank: number;
  /** Number of ranks on this machine. */
  readonly localWorldSize: number;
  /** Host on which rank 0 opens the rendezvous store. */
  readonly masterAddr: string;
  /** Port of the rendezvous store; 0 when there is only one rank. */
  readonly masterPort: number;
  /** Shared secret that admits a process to the rendezvous; empty when none was given. */
  readonly secret: string;
}

/**
 * What the text of an error holds when the rank that raises it is a victim, not the cause. The launcher looks for it
 * to name the rank that failed first.
 */
export const SECONDARY_FAILURE: RegExp = /\b(?:Lost|Stopped by) rank (\d+)\b/;

/** True when this process was started as a rank, by pta's launcher or by another one. */
export function isLaunched(): boolean {
  return env(RankEnv.rank) !== undefined && env(RankEnv.worldSize) !== undefined;
}

/**
 * Reads who this process is. Without `RANK` and `WORLD_SIZE`, or without permission to read them, it is the only rank.
 *
 * @returns The rank's place in the world
 * @throws {RangeError} If a variable is missing, no whole number, or contradicts another
 */
export function readRank(): Rank {
  if (!isLaunched()) {
    for (const name of [RankEnv.rank, RankEnv.worldSize]) {
      if (env(name) !== undefined) {
        const other = name === RankEnv.rank ? RankEnv.worldSize : RankEnv.rank;
        throw new RangeError(`Cannot read the rank: ${name} is set and ${other} is not`);
      }
    }
    return {
      rank: 0,
      worldSize: 1,
      localRank: 0,
      localWorldSize: 1,
      masterAddr: "127.0.0.1",
      masterPort: 0,
      secret: "",
    };
  }
  const worldSize = wholeNumber(RankEnv.worldSize, 1, 1 << 20);
  const rank = wholeNumber(RankEnv.rank, 0, worldSize - 1);
  const localWorldSize = wholeNumber(RankEnv.localWorldSize, 1, worldSize, worldSize);
  return {
    rank,
    worldSize,
    localRank: wholeNumber(RankEnv.localRank, 0, localWorldSize - 1, rank % localWorldSize),
    localWorldSize,
    masterAddr: env(RankEnv.masterAddr) || "127.0.0.1",
    masterPort: wholeNumber(RankEnv.masterPort, 1, 65535, worldSize === 1 ? 0 : undefined),
    secret: env(RankEnv.secret) ?? "",
  };
}

/**
 * Seconds that a collective may stand still before it is an error: `PTA_COMM_TIMEOUT`, 300 by default.
 *
 * @throws {RangeError} If the variable is no positive number
 */
export function commTimeout(): number {
  return secondsOf(RankEnv.timeout, 300);
}

/**
 * Seconds without a heartbeat after which a rank is taken for lost: `PTA_HEARTBEAT_TIMEOUT`, 20 by default. A rank that
 * computes sends them all the same; one that is stopped, or whose machine is gone, does not.
 *
 * @throws {RangeError} If the variable is no positive number
 */
export function heartbeatTimeout(): number {
  return secondsOf(RankEnv.heartbeat, 20);
}

function secondsOf(name: string, missing: number): number {
  const text = env(name);
  if (text === undefined || text === "") return missing;
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 1e6)) {
    throw new RangeError(
      `Cannot read ${name}=${text}: wanted seconds, more than 0 and at most 1000000`,
    );
  }
  return seconds;
}

function wholeNumber(name: string, low: number, high: number, missing?: number): number {
  const text = env(name);
  if (text === undefined || text === "") {
    if (missing !== undefined) return missing;
    throw new RangeError(`Cannot read the rank: ${name} is not set, wanted ${low} to ${high}`);
  }
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high) {
    throw new RangeError(
      `Cannot read ${name}=${text}: wanted a whole number from ${low} to ${high}`,
    );
  }
  return value;
}
