/** Starts the ranks, watches them, and sees to it that none is left. */
import { RankOutput } from "./output.ts";
import type { RankCommand } from "./plan.ts";

/** How one rank ended. */
export interface RankEnd {
  readonly rank: number;
  readonly code: number;
  readonly signal: string | undefined;
  /** Seconds since the start. */
  readonly seconds: number;
  /** The launcher had told it to end before. */
  readonly stopped: boolean;
  readonly lastErrors: readonly string[];
}

/** How all ranks ended, in the order of their ends. */
export interface GroupEnd {
  readonly ends: readonly RankEnd[];
  /** Signal that the launcher itself was sent. */
  readonly interrupted: Deno.Signal | undefined;
}

/** After the first failure the other ranks have this long to say what they saw. */
const LAST_WORDS_MS = 300;
/** From SIGTERM to SIGKILL after a failure. */
const KILL_MS = 2000;
/** From a forwarded signal to SIGKILL: ranks may save their state. */
const GRACE_MS = 30_000;
/** A grandchild may hold a rank's output open; it is not waited for longer than this. */
const DRAIN_MS = 1000;

const SIGNALS: Deno.Signal[] = Deno.build.os === "windows"
  ? ["SIGINT"]
  : ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs all ranks to their ends. The first failure stops the others; SIGINT, SIGTERM and SIGHUP are passed on, and the
 * second of them kills.
 *
 * @throws {Error} If a process cannot be started or a log file cannot be written; no process is left then
 */
export async function runRanks(
  commands: readonly RankCommand[],
  { quiet = false, logDir }: { quiet?: boolean; logDir?: string },
): Promise<GroupEnd> {
  if (logDir !== undefined) await Deno.mkdir(logDir, { recursive: true });
  const group = new Group();
  const forward = SIGNALS.map((signal) => [signal, () => group.interrupt(signal)] as const);
  for (const [signal, listener] of forward) Deno.addSignalListener(signal, listener);
  const kill = () => group.killAll();
  addEventListener("unload", kill);
  try {
    const alone = commands.length === 1;
    commands.forEach((command, rank) => {
      const output = new RankOutput(rank, {
        prefix: !alone,
        print: !quiet || rank === 0,
        logDir,
        onBroken: () => group.interrupt("SIGTERM"),
      });
      // a single rank keeps the terminal, with its colours and its progress bar
      group.start(rank, command, output, alone && logDir === undefined);
    });
    return await group.wait();
  } finally {
    group.killAll();
    removeEventListener("unload", kill);
    for (const [signal, listener] of forward) Deno.removeSignalListener(signal, listener);
  }
}

class Group {
  #alive = new Map<number, Deno.ChildProcess>();
  #watching: Promise<void>[] = [];
  #ends: RankEnd[] = [];
  #stopping = false;
  #interrupted: Deno.Signal | undefined;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #begin = performance.now();

  start(rank: number, command: RankCommand, output: RankOutput, inherit: boolean): void {
    const child = new Deno.Command(command.exec, {
      args: [...command.args],
      env: command.env,
      stdin: inherit ? "inherit" : "null",
      stdout: inherit ? "inherit" : "piped",
      stderr: inherit ? "inherit" : "piped",
    }).spawn();
    this.#alive.set(rank, child);
    const pumps = inherit
      ? []
      : [output.pump(child.stdout, false), output.pump(child.stderr, true)];
    this.#watching.push(this.#watch(rank, child, output, Promise.allSettled(pumps)));
  }

  async wait(): Promise<GroupEnd> {
    await Promise.all(this.#watching);
    for (const timer of this.#timers) clearTimeout(timer);
    return { ends: this.#ends, interrupted: this.#interrupted };
  }

  /** Passes a signal on; at the second one there is no more patience. */
  interrupt(signal: Deno.Signal): void {
    if (this.#interrupted !== undefined) return this.killAll();
    this.#interrupted = signal;
    this.#signalAll(signal);
    this.#later(GRACE_MS, () => this.killAll());
  }

  killAll(): void {
    this.#signalAll("SIGKILL");
  }

  async #watch(
    rank: number,
    child: Deno.ChildProcess,
    output: RankOutput,
    drained: Promise<unknown>,
  ): Promise<void> {
    const { code, signal } = await child.status;
    this.#alive.delete(rank);
    const end = {
      rank,
      code,
      signal: signal ?? undefined,
      seconds: (performance.now() - this.#begin) / 1000,
      stopped: this.#stopping || this.#interrupted !== undefined,
      lastErrors: output.lastErrors,
    };
    this.#ends.push(end);
    if (code !== 0 && !end.stopped) this.#later(LAST_WORDS_MS, () => this.#stop());
    let timer;
    await Promise.race([drained, new Promise((go) => timer = setTimeout(go, DRAIN_MS))]);
    clearTimeout(timer);
    output.close();
  }

  #stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#signalAll("SIGTERM");
    this.#later(KILL_MS, () => this.killAll());
  }

  #signalAll(signal: Deno.Signal): void {
    for (const child of this.#alive.values()) {
      try {
        child.kill(signal);
      } catch {
        // it has ended by itself
      }
    }
  }

  #later(ms: number, action: () => void): void {
    this.#timers.push(setTimeout(action, ms));
  }
}
