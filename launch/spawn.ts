/** Starts the ranks, watches them, and sees to it that none is left. */
import { RankEnv } from "@pta/core/dist/rank";
import { inNotebook, RankOutput } from "./output.ts";
import type { RankCommand } from "./plan.ts";
import { describeActivity, memoryKills, readStatus, sharesTerminal } from "./status.ts";

/** How one rank ended. */
export interface RankEnd {
  readonly rank: number;
  readonly code: number;
  readonly signal: string | undefined;
  /** Seconds since the start. */
  readonly seconds: number;
  /** The launcher had told it to end before. */
  readonly stopped: boolean;
  /** Seconds without a heartbeat, for which the launcher killed it. */
  readonly silent: number | undefined;
  /** What it left in its status about its failure; there is no other word from a rank that keeps the terminal. */
  readonly error: string | undefined;
  /** What it was doing when the first rank failed; empty when unknown. */
  readonly doing: string;
  readonly lastLines: readonly string[];
  readonly lastErrors: readonly string[];
  /** Its log file. */
  readonly log: string | undefined;
}

/** How all ranks ended, in the order of their ends. */
export interface GroupEnd {
  readonly ends: readonly RankEnd[];
  /** Signal that the launcher itself was sent. */
  readonly interrupted: Deno.Signal | undefined;
  /** The system killed a process for want of memory meanwhile. */
  readonly outOfMemory: boolean;
}

/** How the ranks are run. */
export interface RunOptions {
  /** Put before the lines of a rank. */
  readonly prefix: (command: RankCommand) => string;
  /** Whose lines are printed. */
  readonly print: (rank: number) => boolean;
  readonly logDir: string | undefined;
  /** Whether log files keep what they hold. */
  readonly append: boolean;
  /** Longest silence of a rank, in seconds. */
  readonly silence: number;
  /** From a forwarded signal to SIGKILL, in seconds: ranks may save their state. */
  readonly gracePeriod: number;
}

/** After the first failure the other ranks have this long to say what they saw. */
const LAST_WORDS_MS = 1000;
/** From SIGTERM to SIGKILL after a failure. */
const KILL_MS = 2000;
/** Ctrl-C reaches all processes of a terminal, in any order. */
const SAME_SIGNAL_MS = 50;
/** A grandchild may hold a rank's output open; it is not waited for longer than this. */
const DRAIN_MS = 1000;

const SIGNALS: Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs all ranks to their ends. The first failure stops the others; SIGINT, SIGTERM and SIGHUP are passed on, and the
 * second of them kills. A rank whose heartbeats stop is killed.
 *
 * @throws {Error} If a process cannot be started or a log file cannot be written; no process is left then
 */
export async function runRanks(
  commands: readonly RankCommand[],
  options: RunOptions,
): Promise<GroupEnd> {
  const { logDir } = options;
  if (logDir !== undefined) await Deno.mkdir(logDir, { recursive: true });
  const folder = Deno.makeTempDirSync({ prefix: "pta_launch_" });
  const group = new Group(folder, options);
  const forward = SIGNALS.map((signal) => [signal, () => group.interrupt(signal)] as const);
  for (const [signal, listener] of forward) Deno.addSignalListener(signal, listener);
  const end = () => {
    group.killAll();
    removeFolder(folder);
  };
  addEventListener("unload", end);
  try {
    // a single rank keeps the terminal, with its colours and its progress bar
    const inherit = commands.length === 1 && logDir === undefined && !inNotebook;
    for (const command of commands) group.start(command, inherit);
    return await group.wait();
  } finally {
    end();
    removeEventListener("unload", end);
    for (const [signal, listener] of forward) Deno.removeSignalListener(signal, listener);
  }
}

interface Alive {
  readonly child: Deno.ChildProcess;
  silent?: number;
}

class Group {
  readonly #folder: string;
  readonly #options: RunOptions;
  readonly #alive = new Map<number, Alive>();
  readonly #watching: Promise<void>[] = [];
  readonly #ends: RankEnd[] = [];
  readonly #timers: ReturnType<typeof setTimeout>[] = [];
  readonly #begin = performance.now();
  readonly #kills = memoryKills();
  #doing: ReadonlyMap<number, string> | undefined;
  #stopping = false;
  #interrupted: Deno.Signal | undefined;
  #heartbeats: ReturnType<typeof setInterval> | undefined;

  constructor(folder: string, options: RunOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  start(command: RankCommand, inherit: boolean): void {
    const { rank, exec, args, env } = command;
    const { prefix, print, logDir, append } = this.#options;
    const log = logDir === undefined ? undefined : `${logDir}/rank_${rank}.log`;
    const output = new RankOutput({
      prefix: prefix(command),
      print: print(rank),
      log,
      append,
      onBroken: () => this.interrupt("SIGTERM"),
    });
    const child = new Deno.Command(exec, {
      args: [...args],
      env: { ...env, [RankEnv.reportDir]: this.#folder },
      stdin: inherit ? "inherit" : "null",
      stdout: inherit ? "inherit" : "piped",
      stderr: inherit ? "inherit" : "piped",
    }).spawn();
    this.#alive.set(rank, { child });
    const pumps = inherit
      ? []
      : [output.pump(child.stdout, false), output.pump(child.stderr, true)];
    this.#watching.push(this.#watch(rank, output, log, Promise.allSettled(pumps)));
  }

  async wait(): Promise<GroupEnd> {
    const every = Math.min(1000, this.#options.silence * 250);
    this.#heartbeats = setInterval(() => this.#listen(), every);
    await Promise.all(this.#watching);
    clearInterval(this.#heartbeats);
    const isSignal = this.#ends.some(({ signal }) => SIGNALS.some((name) => name === signal));
    // the launcher may have been sent the same, and not know yet
    if (isSignal) await new Promise((go) => setTimeout(go, SAME_SIGNAL_MS));
    for (const timer of this.#timers) clearTimeout(timer);
    return {
      ends: this.#ends,
      interrupted: this.#interrupted,
      outOfMemory: memoryKills() > this.#kills,
    };
  }

  /** Passes a signal on; at the second one there is no more patience. */
  interrupt(signal: Deno.Signal): void {
    if (this.#interrupted !== undefined) return this.killAll();
    this.#interrupted = signal;
    if (signal !== "SIGINT" || !sharesTerminal()) this.#signalAll(signal);
    this.#later(this.#options.gracePeriod * 1000, () => this.killAll());
  }

  killAll(): void {
    this.#signalAll("SIGKILL");
  }

  async #watch(
    rank: number,
    output: RankOutput,
    log: string | undefined,
    drained: Promise<unknown>,
  ): Promise<void> {
    const entry = this.#alive.get(rank)!;
    const { code, signal } = await entry.child.status;
    this.#alive.delete(rank);
    const stopped = entry.silent === undefined &&
      (this.#stopping || this.#interrupted !== undefined);
    if (code !== 0) {
      this.#look(rank);
      if (!stopped) this.#later(LAST_WORDS_MS, () => this.#stop());
    }
    const seconds = (performance.now() - this.#begin) / 1000;
    const at = this.#ends.length;
    const end = {
      rank,
      code,
      signal: signal ?? undefined,
      seconds,
      stopped,
      silent: entry.silent,
      error: code === 0 ? undefined : readStatus(this.#folder, rank)?.error,
      doing: "",
      lastLines: output.lastLines,
      lastErrors: output.lastErrors,
      log,
    };
    this.#ends.push(end);
    let timer;
    await Promise.race([drained, new Promise((go) => timer = setTimeout(go, DRAIN_MS))]);
    clearTimeout(timer);
    output.close();
    this.#ends[at] = { ...end, doing: this.#doing?.get(rank) ?? "" };
  }

  /** Asks, at the first failure, what each of the others is doing. */
  #look(failed: number): void {
    if (this.#doing !== undefined) return;
    const doing = new Map<number, string>();
    for (const [rank, { child }] of [...this.#alive]) {
      if (rank === failed) continue;
      doing.set(rank, describeActivity(readStatus(this.#folder, rank), child.pid));
    }
    this.#doing = doing;
  }

  /** Kills ranks whose heartbeats have stopped. A rank that never had one is none of ours. */
  #listen(): void {
    if (this.#stopping || this.#interrupted !== undefined) return;
    for (const [rank, entry] of this.#alive) {
      const status = readStatus(this.#folder, rank);
      if (status === undefined || ["failed", "closed"].includes(status.state)) continue;
      const silent = (Date.now() - status.time) / 1000;
      if (silent <= this.#options.silence) continue;
      this.#look(rank);
      entry.silent = silent;
      tryKill(entry.child, "SIGKILL");
    }
  }

  #stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#signalAll("SIGTERM");
    this.#later(KILL_MS, () => this.killAll());
  }

  #signalAll(signal: Deno.Signal): void {
    for (const { child } of this.#alive.values()) tryKill(child, signal);
  }

  #later(ms: number, action: () => void): void {
    this.#timers.push(setTimeout(action, ms));
  }
}

function tryKill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // it has ended by itself
  }
}

function removeFolder(folder: string): void {
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch {
    // a rank that is being killed may still write; the system clears its folder of temporary files
  }
}
