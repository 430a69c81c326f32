/** `report RUN_DIR`: the history of a run as a table. */
import { readFlags } from "./args.ts";
import { UsageError } from "./settings.ts";
import { nearest } from "./suggest.ts";

interface Point {
  readonly epoch: number;
  readonly step?: number;
  readonly value: number;
}

/** Where a file of JSON may hold a history. */
interface State {
  readonly metrics?: unknown;
  readonly history?: State;
  readonly sections?: State;
}

interface Metric {
  readonly unit: string;
  readonly points: Point[];
}

/** Files that hold a history, the first that is there counts. */
const CANDIDATES = [/\.jsonl$/, /^history\.json$/, /^state\.json$/, /\.json$/];

/** Where the trainer's `saveState` writes. */
const STATE_FOLDERS = /^(training_states|state_\d+\w*)$/;

/** Runs `report`. */
export async function reportCommand(args: readonly string[]): Promise<number> {
  const flags = readFlags(args, {
    values: ["metrics", "by", "digits"],
    switches: ["json"],
    anywhere: true,
  });
  const [path, ...more] = flags.rest;
  if (path === undefined) throw new UsageError("Missing the run: report RUN_DIR");
  if (more.length > 0) throw new UsageError(`Unexpected ${more[0]}: wanted one RUN_DIR`);
  const by = flags.own.by ?? "epoch";
  if (by !== "epoch" && by !== "step") {
    throw new UsageError(`Cannot read --by ${by}: wanted epoch or step`);
  }
  const digits = Number(flags.own.digits ?? 5);
  if (!Number.isInteger(digits) || digits < 1 || digits > 17) {
    throw new UsageError(
      `Cannot read --digits ${flags.own.digits}: wanted a whole number from 1 to 17`,
    );
  }
  const file = await findHistory(path);
  const all = parseHistory(await Deno.readTextFile(file), file);
  const shown = choose(all, flags.own.metrics as string | undefined, file);
  if (flags.own.json) {
    const data = Object.fromEntries([...shown].map(([name, m]) => [name, m.points]));
    console.log(JSON.stringify(data, (_, v) => Number.isNaN(v) ? "NaN" : v, 2));
  } else {
    console.log(file);
    console.log(tableOf(shown, by, digits));
  }
  return 0;
}

async function findHistory(path: string): Promise<string> {
  try {
    if (!(await Deno.stat(path)).isDirectory) return path;
    const found = await searchFolder(path.replace(/\/$/, ""));
    if (found !== undefined) return found;
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    const why = isMissing ? "there is no such file or folder" : (error as Error).message;
    throw new UsageError(`Cannot report on ${path}: ${why}`);
  }
  throw new UsageError(`Cannot report on ${path}: it has no history (*.jsonl or *.json)`);
}

/** A history in a folder, or in the latest of its training states. */
async function searchFolder(path: string): Promise<string | undefined> {
  const files: string[] = [], folders: string[] = [];
  for await (const { name, isFile, isDirectory } of Deno.readDir(path)) {
    if (isFile) files.push(name);
    if (isDirectory && STATE_FOLDERS.test(name)) folders.push(name);
  }
  for (const pattern of CANDIDATES) {
    const found = files.filter((name) => pattern.test(name)).sort()[0];
    if (found !== undefined) return `${path}/${found}`;
  }
  const latest = folders.sort().at(-1);
  return latest === undefined ? undefined : await searchFolder(`${path}/${latest}`);
}

/**
 * Reads lines of `{name, value, unit, epoch, step}`, or a JSON history `{metrics: [{name, unit, values}]}`, alone or as `history` of a training state.
 *
 * @throws {UsageError} If it is neither
 */
export function parseHistory(text: string, file: string): Map<string, Metric> {
  const metrics = new Map<string, Metric>();
  const add = (name: unknown, unit: unknown, point: Record<string, unknown>) => {
    const value = Number(point.value), epoch = Number(point.epoch);
    if (typeof name !== "string" || !Number.isFinite(epoch) || point.value === undefined) {
      throw new UsageError(`Cannot read the history of ${file}: a value lacks its name or epoch`);
    }
    const step = point.step === undefined ? {} : { step: Number(point.step) };
    const metric = metrics.get(name) ?? { unit: String(unit ?? ""), points: [] };
    metrics.set(name, metric);
    metric.points.push({ epoch, ...step, value });
  };
  const whole = file.endsWith(".jsonl") ? undefined : parseJson(text);
  if (whole !== undefined) {
    const state = whole as State;
    const list = (state.sections?.history ?? state.history ?? state).metrics;
    if (!Array.isArray(list)) {
      throw new UsageError(`Cannot read the history of ${file}: it has no list of metrics`);
    }
    for (const { name, unit, values } of list) {
      for (const point of values ?? []) add(name, unit, point);
    }
    return metrics;
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  lines.forEach((line, i) => {
    const entry = parseJson(line) as Record<string, unknown> | undefined;
    // a crash leaves half a line at the end
    if (entry === undefined && i === lines.length - 1 && i > 0) return;
    if (entry === undefined || entry === null || typeof entry !== "object") {
      throw new UsageError(`Cannot read the history of ${file}: line ${i + 1} is no JSON object`);
    }
    add(entry.name, entry.unit, entry);
  });
  return metrics;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function choose(
  all: Map<string, Metric>,
  names: string | undefined,
  file: string,
): Map<string, Metric> {
  if (all.size === 0) throw new UsageError(`Cannot report on ${file}: nothing was recorded yet`);
  if (names === undefined) return all;
  return new Map(
    names.split(",").map((name) => {
      const metric = all.get(name.trim());
      if (metric !== undefined) return [name.trim(), metric];
      const near = nearest(name.trim(), [...all.keys()]);
      throw new UsageError(
        `Unknown metric ${name}: ${
          near === undefined ? `known are ${[...all.keys()].join(", ")}` : `did you mean ${near}?`
        }`,
      );
    }),
  );
}

/** One row an epoch or step, the last value of each metric in it. */
function tableOf(metrics: Map<string, Metric>, by: "epoch" | "step", digits: number): string {
  const cells = [...metrics.values()].map((m) => new Map(m.points.map((p) => [p[by], p.value])));
  const rows = [...new Set(cells.flatMap((c) => [...c.keys()]))]
    .filter((row) => row !== undefined).sort((a, b) => a - b);
  const text = (value: number | undefined) =>
    value === undefined
      ? ""
      : Number.isInteger(value)
      ? String(value)
      : String(Number(value.toPrecision(digits)));
  const columns = [...metrics].map(([name, { unit }], i) => ({
    head: unit.trim() === "" ? name : `${name} (${unit.trim()})`,
    cells: rows.map((row) => text(cells[i].get(row))),
  })).filter((column) => column.cells.some((cell) => cell !== ""));
  const grid = [{ head: by, cells: rows.map(String) }, ...columns].map(({ head, cells }) => {
    const width = Math.max(head.length, ...cells.map((cell) => cell.length));
    return [head, "-".repeat(width), ...cells].map((cell) => cell.padStart(width));
  });
  return grid[0].map((_, i) => grid.map((column) => column[i]).join("  ").trimEnd()).join("\n");
}
