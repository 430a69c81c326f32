/** A history as JSON can hold it. */
import type { MetricFacts } from "../history.ts";

/** A number as JSON can hold it: those that are not finite are texts. */
export type StoredNumber = number | "NaN" | "Infinity" | "-Infinity";

/** One value of a stored metric. */
export interface StoredValue {
  /** 1-based. */
  readonly epoch: number;
  /** The number. */
  readonly value: StoredNumber;
  /** Optimizer steps of the run so far, for a value that belongs to a step. */
  readonly step?: number;
}

/** A stored metric. */
export interface StoredMetric extends MetricFacts {
  /** Its name, with prefix. */
  readonly name: string;
  /** In the order recorded. */
  readonly values: readonly StoredValue[];
}

/** Everything that a history knows. */
export interface HistoryState {
  /** The epoch being run, from 1. */
  readonly epoch: number;
  /** In the order first recorded. */
  readonly metrics: readonly StoredMetric[];
}

/** A number for JSON, which has neither NaN nor infinity. */
export function encodeNumber(value: number): StoredNumber {
  return Number.isFinite(value) ? value : `${value}` as StoredNumber;
}

/** The number that {@linkcode encodeNumber} was given. */
export function decodeNumber(value: StoredNumber): number {
  return Number(value);
}
