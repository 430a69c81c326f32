/** Curves as an SVG picture, without any library. */
import type { Metric } from "../history.ts";

/** One curve. */
export interface Line {
  /** What the legend says. */
  readonly label: string;
  /** Points `[x, y]`; those that are not finite interrupt the curve. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Options of a picture of curves. */
export interface LineOptions {
  /** Width in pixels; 720 by default. */
  readonly width?: number;
  /** Height in pixels; 400 by default. */
  readonly height?: number;
  /** Text above. */
  readonly title?: string;
  /** Text below the horizontal axis. */
  readonly xLabel?: string;
  /** Text beside the vertical axis. */
  readonly yLabel?: string;
  /** Whether the horizontal axis is logarithmic; points at or below 0 are left out. */
  readonly logX?: boolean;
  /** Whether the vertical axis is logarithmic; points at or below 0 are left out. */
  readonly logY?: boolean;
  /** Points that are marked with a circle and a text. */
  readonly marks?: readonly { readonly x: number; readonly y: number; readonly text: string }[];
}

// Told apart with colour-blind eyes too (Okabe and Ito).
const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/** One axis: numbers to pixels, and where its ticks are. */
interface Axis {
  readonly at: (value: number) => number;
  readonly ticks: readonly number[];
}

/** About `count` round numbers from `low` to `high`. */
function roundTicks(low: number, high: number, count = 6): number[] {
  const raw = (high - low) / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = size * ([1, 2, 5].find((f) => f * size >= raw) ?? 10);
  const ticks: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

function axis(values: readonly number[], isLog: boolean, from: number, to: number): Axis {
  const of = isLog ? Math.log10 : (x: number) => x;
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) [low, high] = [Math.min(low, of(v)), Math.max(high, of(v))];
  if (!(low <= high)) [low, high] = [0, 1];
  if (high - low <= Math.abs(high) * 1e-12) [low, high] = [low - 0.5, high + 0.5];
  const at = (value: number) => from + (of(value) - low) / (high - low) * (to - from);
  if (!isLog) return { at, ticks: roundTicks(low, high) };
  const powers = Array.from(
    { length: Math.floor(high + 1e-9) - Math.ceil(low - 1e-9) + 1 },
    (_, i) => 10 ** (Math.ceil(low - 1e-9) + i),
  );
  const ticks = powers.length > 1 ? powers : roundTicks(10 ** low, 10 ** high).filter((t) => t > 0);
  return { at, ticks };
}

const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const tickText = (value: number) =>
  value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)
    ? value.toExponential().replace("e+", "e")
    : `${Number(value.toPrecision(6))}`;

/**
 * Draws curves with axes, ticks and a legend.
 *
 * @param lines The curves
 * @param options Size, texts, logarithmic axes, marks
 * @returns An SVG document
 */
export function plotLines(lines: readonly Line[], options: LineOptions = {}): string {
  const { width = 720, height = 400, title = "", xLabel = "", yLabel = "" } = options;
  const { logX = false, logY = false, marks = [] } = options;
  const isShown = ([x, y]: readonly [number, number]) =>
    Number.isFinite(x) && Number.isFinite(y) && (!logX || x > 0) && (!logY || y > 0);
  const points = lines.flatMap((l) => l.points.filter(isShown));
  const left = 70, right = width - 20, top = title === "" ? 20 : 40, bottom = height - 50;
  const x = axis(points.map((p) => p[0]), logX, left, right);
  const y = axis(points.map((p) => p[1]), logY, bottom, top);
  const f = (value: number) => value.toFixed(1);
  const text = (px: number, py: number, content: string, anchor: string, more = "") =>
    `<text x="${f(px)}" y="${f(py)}" text-anchor="${anchor}"${more}>${escape(content)}</text>`;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
  ];
  for (const tick of x.ticks) {
    const px = x.at(tick);
    out.push(
      `<line x1="${f(px)}" y1="${top}" x2="${f(px)}" y2="${bottom}" stroke="#ddd"/>`,
      text(px, bottom + 16, tickText(tick), "middle"),
    );
  }
  for (const tick of y.ticks) {
    const py = y.at(tick);
    out.push(
      `<line x1="${left}" y1="${f(py)}" x2="${right}" y2="${f(py)}" stroke="#ddd"/>`,
      text(left - 6, py + 4, tickText(tick), "end"),
    );
  }
  out.push(
    `<rect x="${left}" y="${top}" width="${right - left}" height="${
      bottom - top
    }" fill="none" stroke="#888"/>`,
  );
  lines.forEach((line, i) => {
    const colour = colours[i % colours.length];
    // A gap in the values is a gap in the curve.
    const runs: (readonly [number, number])[][] = [[]];
    for (const p of line.points) {
      if (isShown(p)) runs.at(-1)!.push(p);
      else if (runs.at(-1)!.length > 0) runs.push([]);
    }
    for (const run of runs) {
      if (run.length === 1) {
        const [px, py] = [x.at(run[0][0]), y.at(run[0][1])];
        out.push(`<circle cx="${f(px)}" cy="${f(py)}" r="2.5" fill="${colour}"/>`);
      } else if (run.length > 1) {
        const path = run.map(([a, b]) => `${f(x.at(a))},${f(y.at(b))}`).join(" ");
        out.push(
          `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
        );
      }
    }
    const py = top + 16 + 16 * i;
    out.push(
      `<line x1="${right - 150}" y1="${py - 4}" x2="${right - 132}" y2="${
        py - 4
      }" stroke="${colour}" stroke-width="2"/>`,
      text(right - 128, py, line.label, "start"),
    );
  });
  for (const mark of marks.filter((m) => isShown([m.x, m.y]))) {
    const [px, py] = [x.at(mark.x), y.at(mark.y)];
    out.push(
      `<circle cx="${f(px)}" cy="${f(py)}" r="4" fill="none" stroke="#d00" stroke-width="2"/>`,
      text(px + 7, py - 7, mark.text, "start"),
    );
  }
  if (title !== "") out.push(text(width / 2, 24, title, "middle", ' font-size="15"'));
  if (xLabel !== "") out.push(text((left + right) / 2, height - 12, xLabel, "middle"));
  if (yLabel !== "") {
    const middle = (top + bottom) / 2;
    out.push(text(16, middle, yLabel, "middle", ` transform="rotate(-90 16 ${f(middle)})"`));
  }
  return `${out.join("\n")}\n</svg>\n`;
}

/**
 * Draws metrics, one curve each: over optimizer steps when all their values belong to steps, else over epochs.
 *
 * @param metrics Of any history, as its `all()` or `get()` gives them
 * @param options Size, texts, logarithmic axes
 * @returns An SVG document
 */
export function plotMetrics(metrics: readonly Metric[], options: LineOptions = {}): string {
  const bySteps = metrics.every((m) => m.values.every((v) => v.step !== undefined));
  const lines = metrics.map((m) => {
    const unit = m.unit.trim();
    return {
      label: unit === "" ? m.name : `${m.name} (${unit})`,
      points: m.values.map((v) => [bySteps ? v.step! : v.epoch, v.value] as const),
    };
  });
  return plotLines(lines, { xLabel: bySteps ? "optimizer step" : "epoch", ...options });
}
