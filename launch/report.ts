/** Finds the rank that failed first and says so in one block. */
import { SECONDARY_FAILURE } from "@pta/core/dist/rank";
import type { GroupEnd, RankEnd } from "./spawn.ts";

/** Signals that end ranks: number, and the usual reason. */
const SIGNALS: Record<string, { number: number; meaning: string }> = {
  SIGHUP: { number: 1, meaning: "its terminal was closed" },
  SIGINT: { number: 2, meaning: "interrupted, usually by Ctrl-C" },
  SIGQUIT: { number: 3, meaning: "asked to quit" },
  SIGILL: { number: 4, meaning: "illegal instruction; V8 also ends so when it is out of memory" },
  SIGTRAP: { number: 5, meaning: "V8 stopped on an internal error, often out of memory" },
  SIGABRT: { number: 6, meaning: "aborted itself, often out of memory or a failed assertion" },
  SIGBUS: { number: 7, meaning: "invalid memory access" },
  SIGFPE: { number: 8, meaning: "invalid arithmetic" },
  SIGKILL: { number: 9, meaning: "killed from outside, often by the system when memory runs out" },
  SIGSEGV: { number: 11, meaning: "invalid memory access, often in a native library" },
  SIGPIPE: { number: 13, meaning: "its output was closed" },
  SIGTERM: { number: 15, meaning: "asked to end from outside, such as by a job scheduler" },
};

const RULE = "-".repeat(72);

/** The exit code of the launch and the text that explains it, empty when all went well. */
export interface Report {
  readonly code: number;
  readonly text: string;
}

/** Says how a launch of `numProcesses` ranks ended. `errorsShown`: the error output is on the screen already. */
export function report(
  { ends, interrupted }: GroupEnd,
  numProcesses: number,
  errorsShown: boolean,
): Report {
  const failed = ends.filter((end) => end.code !== 0);
  if (failed.length === 0) return { code: 0, text: "" };
  const before = failed.filter((end) => !end.stopped);
  if (before.length === 0) {
    const first = failed[0];
    return {
      code: exitCode(first),
      text: interrupted ? `Stopped by ${interrupted}` : block(first, ends, numProcesses, false),
    };
  }
  const cause = rootCause(before);
  return { code: exitCode(cause), text: block(cause, ends, numProcesses, errorsShown) };
}

/** A rank that only lost a peer is no cause; nobody kills a rank by a signal without a reason of its own. */
function rootCause(failed: readonly RankEnd[]): RankEnd {
  const primary = failed.filter((end) => lostRank(end) === undefined);
  return primary.find((end) => end.signal !== undefined) ?? primary[0] ?? failed[0];
}

/** Number of the rank whose absence made this one fail. */
function lostRank(end: RankEnd): number | undefined {
  if (end.signal !== undefined) return undefined;
  const match = SECONDARY_FAILURE.exec(end.lastErrors.join("\n"));
  return match === null ? undefined : Number(match[1]);
}

function block(
  cause: RankEnd,
  ends: readonly RankEnd[],
  numProcesses: number,
  errorsShown: boolean,
): string {
  const lost = lostRank(cause);
  const headline = lost === undefined
    ? `Rank ${cause.rank} of ${numProcesses} failed first: ${howItEnded(cause)}`
    : `Rank ${lost} of ${numProcesses} stopped answering; rank ${cause.rank} noticed it: ${
      howItEnded(cause)
    }`;
  const lines = [`${headline}, after ${cause.seconds.toFixed(1)} s`];
  if (!errorsShown) {
    if (cause.lastErrors.length === 0) lines.push("It wrote nothing to its error output.");
    else lines.push("Its last error output:", ...cause.lastErrors.map((line) => `  ${line}`));
  }
  for (const end of ends) {
    if (end !== cause) lines.push(`Rank ${end.rank}: ${otherEnd(end)}`);
  }
  return [RULE, ...lines, RULE].join("\n");
}

function otherEnd(end: RankEnd): string {
  if (end.stopped) return "stopped by the launcher";
  if (end.code === 0) return "had ended without an error";
  const lost = lostRank(end);
  return lost === undefined ? howItEnded(end) : `gave up because of rank ${lost}`;
}

function howItEnded(end: RankEnd): string {
  if (end.signal === undefined) return `ended with exit code ${end.code}`;
  const known = SIGNALS[end.signal];
  return known === undefined
    ? `ended by ${end.signal}`
    : `ended by ${end.signal} (signal ${known.number}: ${known.meaning})`;
}

function exitCode(end: RankEnd): number {
  const known = end.signal === undefined ? undefined : SIGNALS[end.signal];
  return known === undefined ? end.code : 128 + known.number;
}
