/** A summary as text. */
import type { Summary } from "./summary.ts";

/** A number with its thousands apart. */
const whole = (n: number) => n.toLocaleString("en-US", { maximumFractionDigits: 0 });

/** Three digits and a letter for the power of `base`. */
function scaled(n: number, base: number, units: readonly string[]): string {
  let at = 0;
  while (n >= base && at < units.length - 1) {
    n /= base;
    at++;
  }
  return `${at === 0 ? whole(n) : n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0)}${units[at]}`;
}

const flops = (n: number) => scaled(n, 1000, ["", " K", " M", " G", " T", " P"]);
const memory = (n: number) => scaled(n, 1024, [" B", " KB", " MB", " GB", " TB"]);

/** The table of rows, then the totals. */
export function summaryTable(s: Omit<Summary, "toString">): string {
  const heads = ["Module", "Output", "Parameters", "FLOPs", "Output memory"];
  const cells = s.rows.map((r) => {
    const name = r.path.split(".").at(-1)!, called = r.calls > 0;
    const label = name === "" ? r.className : `${name} (${r.className})`;
    return [
      "  ".repeat(r.depth) + label + (r.calls > 1 ? ` x ${r.calls}` : ""),
      called ? r.outputShapes.map((shape) => `[${shape.join(", ")}]`).join(" ") : "not called",
      whole(r.parameters) + (r.trainable < r.parameters ? ` (${whole(r.trainable)} train)` : ""),
      called ? flops(r.flops) : "",
      called ? memory(r.outputBytes) : "",
    ];
  });
  const widths = heads.map((h, i) => Math.max(h.length, ...cells.map((c) => c[i].length)));
  const line = (texts: readonly string[]) =>
    texts.map((t, i) => i < 2 ? t.padEnd(widths[i]) : t.padStart(widths[i])).join("  ").trimEnd();
  const rule = "-".repeat(widths.reduce((a, b) => a + b + 2, -2));
  const total = s.weightBytes + s.gradientBytes + s.activationBytes;
  const totals = [
    `Parameters: ${whole(s.parameters)}, of which ${whole(s.trainable)} train`,
    `FLOPs of a forward pass: ${flops(s.flops)}` +
    (s.uncounted.length === 0 ? "" : `, not counting ${s.uncounted.join(", ")}`),
    `Memory: weights ${memory(s.weightBytes)}, gradients ${memory(s.gradientBytes)}, ` +
    `activations ${memory(s.activationBytes)}, together ${memory(total)}`,
  ];
  return [line(heads), rule, ...cells.map(line), rule, ...totals].join("\n");
}
