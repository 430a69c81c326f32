/** Metrics of a run: values of epochs and of single optimizer steps. */
import { type LineOptions, plotMetrics } from "./history/plot.ts";
import { decodeNumber, encodeNumber, type HistoryState } from "./history/state.ts";
import { historyTable, type TableOptions } from "./history/table.ts";

/** Which way a metric gets better. */
export type Direction = "lower" | "higher" | "none";

/** What a metric is, stated when it is first recorded. */
export interface MetricFacts {
  /** For people: `%`, `samples/s`, or empty for a bare number. */
  readonly unit: string;
  /** Which way it gets better; `none` when neither. */
  readonly direction: Direction;
}

/** One value of a metric. */
export interface MetricValue {
  /** 1-based. */
  readonly epoch: number;
  /** The number. */
  readonly value: number;
  /** Optimizer steps of the run so far, for a value that belongs to a step. */
  readonly step?: number;
}

/** What {@linkcode RunHistory.record} takes beside name and value. */
export interface RecordOptions extends Partial<MetricFacts> {
  /** Optimizer steps of the run so far, for a value that belongs to a step and not to an epoch. */
  readonly step?: number;
}

/** A metric with all its values. */
export interface Metric extends MetricFacts {
  /** Name of the metric. */
  readonly name: string;
  /** In the order recorded. */
  readonly values: readonly MetricValue[];
}

/** Where a trainer records; replace it to send metrics elsewhere. */
export interface RunHistory {
  /** The epoch being run, from 1. */
  readonly currentEpoch: number;
  /** Names in the order first recorded. */
  readonly names: readonly string[];
  /** Whether the metric has a value. */
  has(name: string): boolean;
  /** Put before every name that is recorded; empty when left out. Who evaluates other weights sets it, and clears it afterwards. */
  metricPrefix?: string;
  /** Adds a value at the current epoch. */
  record(name: string, value: number, options?: RecordOptions): void;
  /** The metric with all its values. */
  get(name: string): Metric;
  /** The values alone, in the order recorded. */
  values(name: string): number[];
  /** The value recorded last. */
  latest(name: string): number;
  /** The best value by the metric's direction. */
  best(name: string): MetricValue;
  /** Every metric. */
  all(): Metric[];
  /** Goes to the next epoch. */
  incrementEpoch(): void;
  /** Forgets everything and returns to epoch 1. */
  reset(): void;
  /** Everything recorded, as JSON can hold it; a store that lacks it starts anew when a run is resumed. */
  stateDict?(): HistoryState;
  /** Takes over what {@linkcode RunHistory.stateDict} gave. */
  loadStateDict?(state: HistoryState): void;
}

/** A {@linkcode RunHistory} in memory. */
export class InMemoryRunHistory implements RunHistory {
  readonly #metrics: Map<string, { facts: MetricFacts; values: MetricValue[] }> = new Map();
  /** Put before every name that is recorded; empty at first. */
  metricPrefix = "";
  #epoch = 1;

  /** The epoch being run, from 1. */
  get currentEpoch(): number {
    return this.#epoch;
  }

  /** Names in the order first recorded. */
  get names(): readonly string[] {
    return [...this.#metrics.keys()];
  }

  /** Whether the metric has a value. */
  has(name: string): boolean {
    return this.#metrics.has(name);
  }

  /**
   * Adds a value at the current epoch.
   *
   * @param name Such as `eval_loss_epoch`; {@linkcode metricPrefix} goes before it
   * @param value The value; NaN is recorded as it is
   * @param options Unit (default none) and direction (default `lower` when the name has the word "loss", else `none`), fixed by the first call; the
   * optimizer step, for a value of one
   * @throws {RangeError} When facts given later disagree with the first ones
   */
  record(name: string, value: number, options: RecordOptions = {}): void {
    const full = `${this.metricPrefix}${name}`, { step } = options;
    let metric = this.#metrics.get(full);
    if (metric === undefined) {
      const direction = options.direction ?? (/loss/i.test(name) ? "lower" : "none");
      metric = { facts: { unit: options.unit ?? "", direction }, values: [] };
      this.#metrics.set(full, metric);
    }
    for (const key of ["unit", "direction"] as const) {
      if (options[key] !== undefined && options[key] !== metric.facts[key]) {
        throw new RangeError(
          `Cannot record "${full}" with ${key} "${options[key]}": it was "${
            metric.facts[key]
          }" before`,
        );
      }
    }
    const entry = { epoch: this.#epoch, value, ...(step === undefined ? {} : { step }) };
    metric.values.push(entry);
    this.recorded({ name: full, ...metric.facts }, entry);
  }

  /** Called with each value after it has been recorded; for stores that pass it on. Does nothing here. */
  protected recorded(_metric: MetricFacts & { readonly name: string }, _entry: MetricValue): void {}

  /**
   * The metric with all its values.
   *
   * @throws {RangeError} When nothing was recorded under the name
   */
  get(name: string): Metric {
    const { facts, values } = this.#known(name);
    return { name, ...facts, values: [...values] };
  }

  /**
   * The values alone, in the order recorded.
   *
   * @throws {RangeError} When nothing was recorded under the name
   */
  values(name: string): number[] {
    return this.#known(name).values.map((v) => v.value);
  }

  /**
   * The value recorded last.
   *
   * @throws {RangeError} When nothing was recorded under the name
   */
  latest(name: string): number {
    return this.#known(name).values.at(-1)!.value;
  }

  /**
   * The best value by the metric's direction, the earliest among equals. NaN is never best, unless there is nothing else.
   *
   * @throws {RangeError} When nothing was recorded under the name or it has no direction
   */
  best(name: string): MetricValue {
    const { facts, values } = this.#known(name);
    if (facts.direction === "none") {
      throw new RangeError(`Cannot find the best "${name}": it was recorded without a direction`);
    }
    const better = betterThan(facts.direction);
    return values.reduce((best, v) =>
      better(v.value, best.value) || Number.isNaN(best.value) ? v : best
    );
  }

  /** Every metric. */
  all(): Metric[] {
    return this.names.map((name) => this.get(name));
  }

  /** Goes to the next epoch. */
  incrementEpoch(): void {
    this.#epoch++;
  }

  /** Forgets everything and returns to epoch 1. */
  reset(): void {
    this.#metrics.clear();
    this.#epoch = 1;
  }

  /** Everything recorded, as JSON can hold it. */
  stateDict(): HistoryState {
    const metrics = this.all().map((m) => ({
      ...m,
      values: m.values.map((v) => ({ ...v, value: encodeNumber(v.value) })),
    }));
    return { epoch: this.#epoch, metrics };
  }

  /** Forgets everything and takes over what {@linkcode stateDict} gave. */
  loadStateDict(state: HistoryState): void {
    this.#metrics.clear();
    this.#epoch = state.epoch;
    for (const { name, unit, direction, values } of state.metrics) {
      this.#metrics.set(name, {
        facts: { unit, direction },
        values: values.map((v) => ({ ...v, value: decodeNumber(v.value) })),
      });
    }
  }

  /** The values of epochs as a table, one row an epoch; of steps, with `by: "step"`, one row a step. */
  toTable(options: TableOptions = {}): string {
    return historyTable(this.all(), options);
  }

  /**
   * The metrics as curves, in one SVG picture.
   *
   * @param names Which metrics; those named by losses when left out
   * @param options Size, title, a logarithmic axis
   * @returns An SVG document
   * @throws {RangeError} When nothing was recorded under a name
   */
  plot(names?: readonly string[], options: LineOptions = {}): string {
    const chosen = names ?? this.names.filter((n) => /loss/i.test(n));
    return plotMetrics(chosen.map((n) => this.get(n)), options);
  }

  #known(name: string): { facts: MetricFacts; values: MetricValue[] } {
    const metric = this.#metrics.get(name);
    if (metric !== undefined) return metric;
    const names = this.names.length > 0 ? this.names.join(", ") : "none";
    throw new RangeError(`Cannot find the metric "${name}": the metrics recorded are ${names}`);
  }
}

/** Comparison for a direction: whether `a` is strictly better than `b`. */
export function betterThan(direction: "lower" | "higher"): (a: number, b: number) => boolean {
  return direction === "lower" ? (a, b) => a < b : (a, b) => a > b;
}
