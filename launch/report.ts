/** What is said when ranks fail. */
import { SECONDARY_FAILURE } from "@pta/core/dist/rank";

/** How a rank ended. */
export interface Ending {
  readonly rank: number;
  readonly code: number;
  readonly signal: Deno.Signal | null;
  /** Its last lines on standard error. */
  readonly tail: readonly string[];
  /** Whether the launcher had told it to stop. */
  readonly wasStopped: boolean;
}

const signals: Partial<Record<Deno.Signal, { number: number; meaning: string }>> = {
  SIGHUP: { number: 1, meaning: "its terminal was closed" },
  SIGINT: { number: 2, meaning: "interrupted from the keyboard" },
  SIGQUIT: { number: 3, meaning: "told to quit" },
  SIGILL: { number: 4, meaning: "an instruction this processor does not have" },
  SIGABRT: { number: 6, meaning: "it gave up by itself" },
  SIGBUS: { number: 7, meaning: "memory that is not there" },
  SIGFPE: { number: 8, meaning: "an arithmetic fault" },
  SIGKILL: { number: 9, meaning: "ended by force, often because memory ran out" },
  SIGSEGV: { number: 11, meaning: "memory that is not its own" },
  SIGTERM: { number: 15, meaning: "told to end" },
};

/** Exit code of a shell for an ending. */
export function exitCode({ code, signal }: Pick<Ending, "code" | "signal">): number {
  return signal === null ? code : 128 + (signals[signal]?.number ?? 0);
}

function how({ code, signal }: Ending): string {
  if (signal === null) return `exit code ${code}`;
  const known = signals[signal];
  return known === undefined ? `killed by ${signal}` : `killed by ${signal} (${known.meaning})`;
}

/** The rank that an error names as lost, if the error is about another rank. */
export function lostRank(tail: readonly string[]): number | undefined {
  const match = SECONDARY_FAILURE.exec(tail.join("\n"));
  return match === null ? undefined : Number(match[1]);
}

/** The ending that caused the others: the first that was not about another rank. Endings come in order of time. */
export function firstCause(endings: readonly Ending[]): Ending | undefined {
  const failed = endings.filter((e) => e.code !== 0 || e.signal !== null);
  const own = failed.filter((e) => !e.wasStopped);
  return own.find((e) => lostRank(e.tail) === undefined) ?? own[0] ?? failed[0];
}

/** One block: which rank failed first, how, its last lines, and how the others ended. */
export function failureBlock(cause: Ending, endings: readonly Ending[], worldSize: number): string {
  const rule = "=".repeat(72);
  const others = endings.filter((e) => e !== cause).sort((a, b) => a.rank - b.rank).map((e) => {
    const lost = lostRank(e.tail);
    const why = e.wasStopped
      ? "stopped by the launcher"
      : lost === undefined
      ? ""
      : `it lost rank ${lost}`;
    return `Rank ${e.rank}: ${how(e)}${why === "" ? "" : `, ${why}`}`;
  });
  return [
    rule,
    worldSize === 1
      ? `The script failed: ${how(cause)}`
      : `Rank ${cause.rank} of ${worldSize} failed first: ${how(cause)}`,
    ...(cause.tail.length === 0
      ? []
      : ["Its last lines:", ...cause.tail.map((line) => `  ${line}`)]),
    ...others,
    rule,
  ].join("\n");
}
