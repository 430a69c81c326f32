/** A history that is also a file, one JSON object a line. */
import { readRank } from "@pta/core";
import { InMemoryRunHistory, type MetricFacts, type MetricValue } from "../history.ts";
import { encodeNumber, type HistoryState } from "./state.ts";

/** Options of {@linkcode JsonlRunHistory}. */
export interface JsonlRunHistoryOptions {
  /** The time of a line, in milliseconds since 1970; the system's clock when left out. */
  readonly now?: () => number;
}

/**
 * A history in memory that writes each value to a file as it is recorded, so that a run can be watched, and read after a crash. A line is
 * `{"name","value","unit","direction","epoch","step","time"}`: `step` only for values of a step, `time` in seconds since 1970, and NaN and
 * infinities as texts. The main rank writes, the others only remember. When a run is resumed, lines of what comes after its state are taken away.
 */
export class JsonlRunHistory extends InMemoryRunHistory {
  /** The file. */
  readonly path: string;
  readonly #now: () => number;
  readonly #writes: boolean;

  /**
   * Starts with an empty history; the file is written at the first value. What an earlier run left there stays until {@linkcode reset}, which
   * `train()` calls unless told otherwise.
   * @param path File to write
   * @param options The clock
   */
  constructor(path: string, options: JsonlRunHistoryOptions = {}) {
    super();
    this.path = path;
    this.#now = options.now ?? Date.now;
    this.#writes = readRank().rank === 0;
  }

  /** Adds a line to the file. */
  protected override recorded(
    metric: MetricFacts & { readonly name: string },
    { epoch, value, step }: MetricValue,
  ): void {
    if (!this.#writes) return;
    const { name, unit, direction } = metric, time = this.#now() / 1000;
    const line = { name, value: encodeNumber(value), unit, direction, epoch, step, time };
    Deno.writeTextFileSync(this.path, `${JSON.stringify(line)}\n`, { append: true });
  }

  /** Forgets everything and empties the file. */
  override reset(): void {
    super.reset();
    if (this.#writes) Deno.writeTextFileSync(this.path, "");
  }

  /** Takes over a state. The file keeps the lines that belong to it; if it has others or too few, it is written anew, metric by metric. */
  override loadStateDict(state: HistoryState): void {
    super.loadStateDict(state);
    const values = state.metrics.flatMap(({ values, ...facts }) =>
      values.map((v) => ({ ...facts, ...v }))
    );
    if (!this.#writes) return;
    const known = new Map<string, number>();
    const keyOf = (v: { name: string; epoch: number; value: unknown; step?: number }) =>
      JSON.stringify([v.name, v.epoch, v.step, v.value]);
    for (const v of values) known.set(keyOf(v), (known.get(keyOf(v)) ?? 0) + 1);
    const kept = readLines(this.path).slice(0, values.length);
    const isSame = kept.length === values.length && kept.every((line) => {
      const left = known.get(line.key) ?? 0;
      known.set(line.key, left - 1);
      return left > 0;
    });
    const lines = isSame ? kept.map((l) => l.text) : values.map((v) => JSON.stringify(v));
    Deno.writeTextFileSync(this.path, lines.map((line) => `${line}\n`).join(""));
  }
}

/** The whole lines of a file, up to the first that is damaged; a crash leaves half a line. */
function readLines(path: string): { text: string; key: string }[] {
  let content: string;
  try {
    content = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const found: { text: string; key: string }[] = [];
  for (const text of content.split("\n")) {
    if (text === "") continue;
    try {
      const { name, epoch, step, value } = JSON.parse(text);
      found.push({ text, key: JSON.stringify([name, epoch, step, value]) });
    } catch {
      break;
    }
  }
  return found;
}
