/** The main rank's eye on all ranks: heartbeats in, the first failure out. */
import { sleep } from "./deadline.ts";
import { type Failure, type FailureReport, judge, type Mismatch } from "./failure.ts";

/** What a rank says of itself with every heartbeat. */
export interface Beat {
  readonly rank: number;
  /** What it is doing, for people. */
  readonly doing: string;
}

/** Reports of a mismatch are collected for this long before they are judged. */
const JUDGE_MS = 250;

/**
 * Decides once how a group has ended. Ranks send heartbeats and wait for the decision in the same call, so news reaches
 * them at once and silence reaches the watch.
 */
export class GroupWatch {
  readonly #silenceMs: number;
  readonly #last = new Map<number, { time: number; doing: string }>();
  readonly #waiting = new Set<() => void>();
  readonly #mismatches: Mismatch[] = [];
  readonly #allTold = Promise.withResolvers<void>();
  readonly #decided = Promise.withResolvers<Failure>();
  #failure: Failure | undefined;
  #closed = false;
  #judging: ReturnType<typeof setTimeout> | undefined;
  #ticking: ReturnType<typeof setInterval>;
  #lastTick = performance.now();

  /**
   * @param silenceMs A rank without a heartbeat for so long is lost
   */
  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
    this.#ticking = setInterval(() => this.#tick(), Math.min(500, silenceMs / 4));
  }

  /** The decision, once there is one. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /**
   * Takes a heartbeat, and waits for a failure for at most `ms` milliseconds.
   *
   * @returns The failure; `undefined` when there is none so far; `"closed"` when the watch has ended in good order
   */
  async beat({ rank, doing }: Beat, ms: number): Promise<Failure | "closed" | undefined> {
    this.#last.set(rank, { time: performance.now(), doing });
    if (this.#failure === undefined && !this.#closed) {
      await new Promise<void>((go) => {
        const wake = () => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          go();
        };
        const timer = setTimeout(wake, ms);
        this.#waiting.add(wake);
      });
      const entry = this.#last.get(rank);
      // the answer is on the way: that is as good as a sign of life
      if (entry !== undefined) entry.time = performance.now();
    }
    const end = this.#failure ?? (this.#closed ? "closed" : undefined);
    if (end !== undefined) {
      this.#last.delete(rank);
      if (this.#last.size === 0) this.#allTold.resolve();
    }
    return end;
  }

  /** Resolves once every rank has been told how the group has ended, or after `ms` milliseconds. */
  async told(ms: number): Promise<void> {
    if (this.#last.size > 0) await Promise.race([this.#allTold.promise, sleep(ms)]);
    // the last answers are on their way
    await sleep(30);
  }

  /** Takes the report of a rank and says how the group has ended: the first reason stays. */
  report({ failure, mismatch }: FailureReport): Promise<Failure> {
    if (mismatch === undefined) {
      this.#decide(failure);
    } else {
      this.#mismatches.push(mismatch);
      this.#judging ??= setTimeout(() => this.#judge(), JUDGE_MS);
    }
    return this.#decided.promise;
  }

  /** A rank has left in good order. */
  left(rank: number): void {
    this.#last.delete(rank);
    if (this.#last.size === 0) this.#allTold.resolve();
  }

  /** The connection of a rank has broken. */
  broken(rank: number): void {
    if (!this.#last.has(rank)) return;
    this.#lose(rank, "its connection is closed");
  }

  /** Ends in good order: ranks that wait are told. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#ticking);
    clearTimeout(this.#judging);
    for (const wake of this.#waiting) wake();
  }

  #judge(): void {
    const [{ seq }] = this.#mismatches;
    this.#decide(judge(this.#mismatches.filter((m) => m.seq === seq)));
  }

  #tick(): void {
    const now = performance.now();
    // when this process itself stood still, nobody could be heard
    const late = now - this.#lastTick > this.#silenceMs / 2;
    this.#lastTick = now;
    for (const [rank, entry] of this.#last) {
      if (late) entry.time = now;
      const silent = now - entry.time;
      if (silent > this.#silenceMs) {
        this.#lose(rank, `no heartbeat for ${(silent / 1000).toFixed(1)} s`);
      }
    }
  }

  #lose(rank: number, text: string): void {
    this.#decide({ origin: 0, lost: rank, text });
  }

  #decide(failure: Failure): void {
    if (this.#failure !== undefined || this.#closed) return;
    const doing = failure.lost < 0 ? undefined : this.#last.get(failure.lost)?.doing;
    const text = doing ? `${failure.text}; last heard of: ${doing}` : failure.text;
    this.#failure = { ...failure, text };
    clearTimeout(this.#judging);
    this.#decided.resolve(this.#failure);
    for (const wake of this.#waiting) wake();
  }
}
