/** Metrics of a run, one value an epoch. */

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
  /** Adds a value at the current epoch. */
  record(name: string, value: number, facts?: Partial<MetricFacts>): void;
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
}

/** A {@linkcode RunHistory} in memory. */
export class InMemoryRunHistory implements RunHistory {
  readonly #metrics: Map<string, { facts: MetricFacts; values: MetricValue[] }> = new Map();
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
   * @param name Such as `eval_loss_epoch`
   * @param value The value; NaN is recorded as it is
   * @param facts Unit (default none) and direction (default `lower` when the name has the word "loss", else `none`), fixed by the first call
   * @throws {RangeError} When facts given later disagree with the first ones
   */
  record(name: string, value: number, facts: Partial<MetricFacts> = {}): void {
    const known = this.#metrics.get(name);
    if (known === undefined) {
      const direction = facts.direction ?? (/loss/i.test(name) ? "lower" : "none");
      this.#metrics.set(name, {
        facts: { unit: facts.unit ?? "", direction },
        values: [{ epoch: this.#epoch, value }],
      });
      return;
    }
    for (const key of ["unit", "direction"] as const) {
      if (facts[key] !== undefined && facts[key] !== known.facts[key]) {
        throw new RangeError(
          `Cannot record "${name}" with ${key} "${facts[key]}": it was "${
            known.facts[key]
          }" before`,
        );
      }
    }
    known.values.push({ epoch: this.#epoch, value });
  }

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
