/** A history as text. */
import type { Metric } from "../history.ts";

/** Options of a table. */
export interface TableOptions {
  /** Which metrics have columns; all when left out. */
  readonly names?: readonly string[];
  /** What has a row: an epoch, with the last value that each metric had in it, or an optimizer step. `epoch` by default. */
  readonly by?: "epoch" | "step";
  /** Significant digits of fractions; 5 by default. */
  readonly digits?: number;
}

/**
 * Metrics as a table with aligned columns, a header and units.
 *
 * @param metrics The metrics
 * @param options Columns, rows, digits
 * @throws {RangeError} When a name is none of the metrics
 */
export function historyTable(metrics: readonly Metric[], options: TableOptions = {}): string {
  const { by = "epoch", digits = 5, names } = options;
  const columns = names?.map((name) => {
    const found = metrics.find((m) => m.name === name);
    if (found !== undefined) return found;
    throw new RangeError(
      `Cannot show the metric "${name}": the metrics recorded are ${
        metrics.map((m) => m.name).join(", ") || "none"
      }`,
    );
  }) ?? metrics;
  const cells = columns.map((m) => new Map(m.values.map((v) => [v[by], v.value])));
  const rows = [...new Set(cells.flatMap((c) => [...c.keys()]))]
    .filter((row) => row !== undefined).sort((a, b) => a - b);
  const shown = columns.map((m, i) => ({ m, values: cells[i] }))
    .filter(({ values }) => rows.some((row) => values.has(row)));
  const text = (value: number | undefined) =>
    value === undefined
      ? ""
      : Number.isInteger(value)
      ? `${value}`
      : `${Number(value.toPrecision(digits))}`;
  const head = (m: Metric) => m.unit.trim() === "" ? m.name : `${m.name} (${m.unit.trim()})`;
  const grid = [
    [by, ...shown.map(({ m }) => head(m))],
    ...rows.map((row) => [`${row}`, ...shown.map(({ values }) => text(values.get(row)))]),
  ];
  const widths = grid[0].map((_, i) => Math.max(...grid.map((line) => line[i].length)));
  const line = (cells: readonly string[]) => cells.map((c, i) => c.padStart(widths[i])).join("  ");
  return [line(grid[0]), widths.map((w) => "-".repeat(w)).join("  "), ...grid.slice(1).map(line)]
    .join("\n");
}
