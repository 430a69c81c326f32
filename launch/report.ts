/** Finds the rank that failed first and says so in one block. */
import { SECONDARY_FAILURE } from "@pta/core/dist/rank";
import { codeMeaning, ExitCode, SIGNALS } from "./exit_codes.ts";
import type { GroupEnd, RankEnd } from "./spawn.ts";

const RULE = "-".repeat(72);
/** Lines that are shown beside the error. */
const SHOWN_LINES = 20;
/** Lines of an error with its stack that are shown. */
const ERROR_LINES = 40;
/** How an error that nobody caught begins in Deno. */
const ERROR_START = /^(?:error: |Uncaught )/;

/** The exit code of the launch and the text that explains it, empty when all went well. */
export interface Report {
  readonly code: number;
  readonly text: string;
  /** The first line of the explanation. */
  readonly headline: string;
}

/**
 * Says how a launch of `worldSize` ranks ended.
 *
 * @param errorsShown The error output is on the screen already
 * @param notes Further lines of the block
 */
export function report(
  group: GroupEnd,
  worldSize: number,
  errorsShown: boolean,
  notes: readonly string[] = [],
): Report {
  const { ends, interrupted } = group;
  const failed = ends.filter((end) => end.code !== 0);
  if (failed.length === 0) return { code: ExitCode.ok, text: "", headline: "" };
  // Ctrl-C may reach a rank before the launcher
  const own = interrupted === undefined ? undefined : 128 + SIGNALS[interrupted].number;
  const before = failed.filter((end) => !end.stopped && end.code !== own);
  const [first] = failed;
  if (before.length === 0 && interrupted !== undefined) {
    const text = `Stopped by ${interrupted}`;
    return { code: exitCode(first), text, headline: text };
  }
  const cause = before.length === 0 ? first : rootCause(before);
  const headline = headlineOf(cause, group, worldSize);
  const lines = [
    headline,
    ...(errorsShown ? [] : outputOf(cause, ends)),
    ...othersOf(cause, ends, group),
    ...logsOf(cause, ends),
    ...notes,
  ];
  return { code: exitCode(cause), text: [RULE, ...lines, RULE].join("\n"), headline };
}

/** A rank that only lost a peer is no cause; nobody kills a rank by a signal without a reason of its own. */
function rootCause(failed: readonly RankEnd[]): RankEnd {
  const primary = failed.filter((end) => lostRank(end) === undefined);
  return primary.find((end) => end.silent !== undefined) ??
    primary.find((end) => end.signal !== undefined) ?? primary[0] ?? failed[0];
}

/** Number of the rank whose absence made this one fail. */
function lostRank(end: RankEnd): number | undefined {
  // a rank whose program does not notice the end of its group ends itself so
  if (end.signal !== undefined && end.signal !== "SIGTERM") return undefined;
  const match = SECONDARY_FAILURE.exec([...end.lastErrors, end.error ?? ""].join("\n"));
  return match === null ? undefined : Number(match[1]);
}

function headlineOf(cause: RankEnd, group: GroupEnd, worldSize: number): string {
  const after = `after ${cause.seconds.toFixed(1)} s`;
  if (cause.silent !== undefined) {
    return `Rank ${cause.rank} of ${worldSize} failed first: no heartbeat for ${
      cause.silent.toFixed(1)
    } s, so it was killed, ${after}`;
  }
  const lost = lostRank(cause);
  return lost === undefined
    ? `Rank ${cause.rank} of ${worldSize} failed first: ${howItEnded(cause, group)}, ${after}`
    : `Rank ${lost} of ${worldSize} stopped answering; rank ${cause.rank} noticed it: ${
      howItEnded(cause, group)
    }, ${after}`;
}

/** The rank of this machine that the one which speaks has lost. */
function lostEnd(cause: RankEnd, ends: readonly RankEnd[]): RankEnd | undefined {
  const lost = lostRank(cause);
  return lost === undefined ? undefined : ends.find((end) => end.rank === lost);
}

/** The error with its stack and the lines before it; for a lost rank its lines, and the error of the rank that noticed. */
function outputOf(cause: RankEnd, ends: readonly RankEnd[]): string[] {
  const lost = lostEnd(cause, ends);
  const { error, others } = partsOf(cause);
  const indent = (lines: readonly string[]) => lines.map((line) => `  ${line}`.trimEnd());
  if (lost !== undefined && lost !== cause) {
    return [
      ...(lost.lastLines.length === 0
        ? [`Rank ${lost.rank} had written nothing.`]
        : [`Last lines of rank ${lost.rank}:`, ...indent(lost.lastLines.slice(-SHOWN_LINES))]),
      `Error of rank ${cause.rank}:`,
      ...indent(error.length === 0 ? others : error),
    ];
  }
  if (cause.lastLines.length === 0) return ["It wrote nothing."];
  const title = error.length === 0 ? "Its last lines:" : "Its last lines before that:";
  return [
    ...(error.length === 0 ? [] : ["Its error:", ...indent(error)]),
    ...(others.length === 0 ? [] : [title, ...indent(others)]),
  ];
}

function logsOf(cause: RankEnd, ends: readonly RankEnd[]): string[] {
  const { log } = lostEnd(cause, ends) ?? cause;
  return log === undefined ? [] : [`Its log: ${log}`];
}

function partsOf({ lastErrors, lastLines }: RankEnd): { error: string[]; others: string[] } {
  const start = lastErrors.findLastIndex((line) => ERROR_START.test(line));
  const error = start < 0 ? [] : lastErrors.slice(start, start + ERROR_LINES);
  const said = new Set(error);
  const others = lastLines.filter((line) => !said.has(line)).slice(-SHOWN_LINES);
  return { error, others };
}

/** One line for all ranks of which the same is to be said. */
function othersOf(cause: RankEnd, ends: readonly RankEnd[], group: GroupEnd): string[] {
  const said = new Map<string, number[]>();
  for (const end of ends.filter((end) => end !== cause).sort((a, b) => a.rank - b.rank)) {
    const text = otherEnd(end, group);
    said.set(text, [...said.get(text) ?? [], end.rank]);
  }
  return [...said].map(([text, ranks]) =>
    `Rank${ranks.length === 1 ? "" : "s"} ${rangesOf(ranks)}: ${text}`
  );
}

function otherEnd(end: RankEnd, group: GroupEnd): string {
  const lost = lostRank(end);
  const how = end.code === 0
    ? "had ended without an error"
    : end.stopped
    ? "stopped by the launcher"
    : lost === undefined
    ? howItEnded(end, group)
    : `gave up because of rank ${lost}`;
  return end.doing === "" ? how : `${how}; ${end.doing}`;
}

/** `0, 2-5` for 0, 2, 3, 4, 5. */
function rangesOf(ranks: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const rank of ranks) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === rank - 1) last[1] = rank;
    else parts.push([rank, rank]);
  }
  return parts.map(([a, b]) => a === b ? `${a}` : `${a}-${b}`).join(", ");
}

function howItEnded(end: RankEnd, group: GroupEnd): string {
  if (end.signal === undefined) {
    const meaning = codeMeaning(end.code);
    return `ended with exit code ${end.code}${meaning === undefined ? "" : ` (${meaning})`}`;
  }
  const known = SIGNALS[end.signal];
  if (known === undefined) return `ended by ${end.signal}`;
  const meaning = end.signal === "SIGKILL" && group.outOfMemory
    ? "the system killed it because memory ran out"
    : known.meaning;
  return `ended by ${end.signal} (signal ${known.number}: ${meaning})`;
}

function exitCode(end: RankEnd): number {
  if (end.silent !== undefined) return ExitCode.silent;
  const known = end.signal === undefined ? undefined : SIGNALS[end.signal];
  return known === undefined ? end.code : 128 + known.number;
}
