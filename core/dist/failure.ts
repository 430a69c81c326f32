/** Why a group of ranks has ended: one record that all of them agree on, and what each of them makes of it. */

/** The end of a group, as it travels between ranks. */
export interface Failure {
  /** Rank that raises the error, or that has noticed that another one is gone. */
  readonly origin: number;
  /** Rank that is gone, or -1. */
  readonly lost: number;
  /** The reason, in words. */
  readonly text: string;
}

/** One rank's view of two calls that do not fit together. */
export interface Mismatch {
  /** Number of the collective. */
  readonly seq: number;
  /** The rank that has found it, and the one before it in the ring. */
  readonly ranks: readonly [number, number];
  /** What each of the two has called; that of the first with its call site. */
  readonly calls: readonly [string, string];
}

/** What a rank reports to the main rank: a failure, or a mismatch that is to be judged. */
export interface FailureReport {
  readonly failure: Failure;
  readonly mismatch?: Mismatch;
}

/** Longest text of a failure, in characters. */
const MAX_TEXT = 4000;

/**
 * Reads a failure that another rank has sent.
 *
 * @throws {SyntaxError} If it is none
 */
export function readFailure(value: unknown): Failure {
  const { origin, lost, text } = (value ?? {}) as Record<string, unknown>;
  if (!Number.isInteger(origin) || !Number.isInteger(lost) || typeof text !== "string") {
    throw new SyntaxError("Cannot read the failure: malformed");
  }
  return { origin: origin as number, lost: lost as number, text: text.slice(0, MAX_TEXT) };
}

/**
 * Reads the report of a rank.
 *
 * @throws {SyntaxError} If it is none
 */
export function readReport(value: unknown): FailureReport {
  const { failure, mismatch } = (value ?? {}) as Record<string, unknown>;
  if (mismatch === undefined) return { failure: readFailure(failure) };
  const { seq, ranks, calls } = mismatch as Record<string, unknown>;
  const isPair = (pair: unknown, type: string) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((x) => typeof x === type);
  if (!Number.isInteger(seq) || !isPair(ranks, "number") || !isPair(calls, "string")) {
    throw new SyntaxError("Cannot read the mismatch: malformed");
  }
  return { failure: readFailure(failure), mismatch: mismatch as Mismatch };
}

/**
 * The error text of a failure on one rank. That of the rank at fault says what it did; the others say whom they stop for.
 *
 * @param what The collective that this rank was in, empty between two of them
 */
export function explain(failure: Failure, rank: number, what: string): string {
  const { origin, lost, text } = failure;
  const place = what ? ` in ${what}` : "";
  if (lost >= 0) {
    const reporter = origin === rank ? "" : ` (seen by rank ${origin})`;
    return `Lost rank ${lost}${place}: ${text}${reporter}`;
  }
  return origin === rank ? text : `Stopped by rank ${origin}${place}: ${text}`;
}

/**
 * Judges the reports about one collective: the rank that most of them name is at fault; of two that are named equally
 * often, the one with the higher number, as rank 0 usually has it right.
 */
export function judge(reports: readonly Mismatch[]): Failure {
  const votes = new Map<number, number>();
  const calls = new Map<number, string>();
  for (const { ranks, calls: [own, other] } of reports) {
    for (const rank of ranks) votes.set(rank, (votes.get(rank) ?? 0) + 1);
    // a rank knows its own call site, so its word replaces that of its neighbour
    calls.set(ranks[0], own);
    if (!calls.has(ranks[1])) calls.set(ranks[1], other);
  }
  const ranked = [...votes].sort((a, b) => b[1] - a[1] || b[0] - a[0]);
  const odd = ranked[0][0];
  const other = reports[0].ranks.find((r) => r !== odd)!;
  const text = `Cannot run collective #${reports[0].seq}: rank ${odd} called ${
    calls.get(odd)
  }, rank ${other} called ${calls.get(other)}`;
  return { origin: odd, lost: -1, text };
}
