/** What to start: the command of a rank and its environment. */
import { RankEnv } from "@pta/core/dist/rank";

/** Options of a launch from a program; the command line makes the same. */
export interface LaunchOptions {
  /** Number of ranks on this machine, 1 by default. */
  readonly numProcesses?: number;
  /** Script that every rank runs, a path or a URL; by default the running program itself. */
  readonly script?: string;
  /** Arguments of the script; by default those of the running program. */
  readonly args?: readonly string[];
  /** Train on the CPU. */
  readonly cpu?: boolean;
  /** Start the ranks with V8's wide-vector flags, which switch off WebAssembly's bounds checks. */
  readonly turbo?: boolean;
  /** Print the output of rank 0 only. */
  readonly quiet?: boolean;
  /** Folder for one log file per rank; made when missing. */
  readonly logDir?: string;
}

/** One process to start. */
export interface RankCommand {
  readonly exec: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const TURBO_FLAGS = ["--no-wasm-bounds-checks", "--experimental-wasm-revectorize"];

/** The commands of all ranks. A compiled program starts itself, everything else is started through Deno. */
export function planRanks(options: LaunchOptions): RankCommand[] {
  const { numProcesses = 1, args = Deno.args, turbo = false } = options;
  const standalone = Deno.build.standalone && options.script === undefined;
  const script = options.script ?? Deno.mainModule;
  const flags = turbo ? [`--v8-flags=${TURBO_FLAGS.join(",")}`] : [];
  const shared: Record<string, string> = {
    [RankEnv.worldSize]: String(numProcesses),
    [RankEnv.localWorldSize]: String(numProcesses),
    [RankEnv.masterAddr]: "127.0.0.1",
    [RankEnv.masterPort]: String(freePort()),
    [RankEnv.secret]: makeSecret(),
    [RankEnv.launcherPid]: String(Deno.pid),
  };
  if (options.cpu) shared[RankEnv.device] = "cpu";
  if (turbo) shared[RankEnv.turbo] = "1";
  // a compiled program takes V8's flags from the environment only
  if (turbo && standalone) shared.DENO_V8_FLAGS = TURBO_FLAGS.join(",");
  if (numProcesses > 1 && Deno.env.get(RankEnv.threads) === undefined) {
    const share = Math.floor(navigator.hardwareConcurrency / numProcesses);
    shared[RankEnv.threads] = String(Math.max(1, share));
  }
  return Array.from({ length: numProcesses }, (_, rank) => ({
    exec: Deno.execPath(),
    args: standalone ? args : ["run", "-A", ...flags, script, ...args],
    env: { ...shared, [RankEnv.rank]: String(rank), [RankEnv.localRank]: String(rank) },
  }));
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** 256 random bits; whoever knows them is a rank of this launch. */
function makeSecret(): string {
  return crypto.getRandomValues(new Uint8Array(32)).toHex();
}
