/** `deno task performance`: docs/performance.md from the results in bench/results; what has not been measured has no line. */

interface Comparison {
  name: string;
  pta_ms?: number;
  torch_ms: Record<string, number>;
  ratios: Record<string, number>;
  errors: Record<string, string>;
}

interface Result {
  date: string;
  commit: string;
  deno: string;
  gpu: string;
  ceilings: Record<string, number | string>[];
  comparisons: Comparison[];
}

/** The page for results, the newest first. */
export function performancePage(results: readonly Result[]): string {
  const lines = [
    "# Performance",
    "",
    "Milliseconds a training step, medians of alternating runs of `deno task bench:gpu` on one card; the ratio is PyTorch's time over ours (above 1: ours is",
    "faster). Written by `deno task performance` from `bench/results`; results on the CPU are in `bench/results` as text.",
    "",
  ];
  if (results.length === 0) {
    lines.push("No run on a GPU has been recorded yet, so this page claims nothing about one.", "");
  }
  for (const r of results) {
    lines.push(
      `## ${r.date}: ${r.gpu || "unnamed device"}`,
      "",
      `Deno ${r.deno}, commit ${r.commit}.`,
      "",
    );
    if (r.ceilings.length > 0) {
      lines.push("| ceiling | value |", "| --- | --- |");
      for (const c of r.ceilings) {
        if (c.probe === "matmul") {
          lines.push(
            `| ${c.dtype} product ${c.form} ${c.m} x ${c.n} x ${c.k} | ${
              Number(c.tflops).toFixed(0)
            } TFLOP/s |`,
          );
        } else if (c.probe === "copy") lines.push(`| copy | ${Number(c.gb_s).toFixed(0)} GB/s |`);
        else if (c.probe === "ending") {
          lines.push(
            `| linear layer ${c.m} x ${c.n} x ${c.k} with ${c.activation}, by the ${c.by} | ${
              Number(c.ms).toFixed(3)
            } ms |`,
          );
        } else if (c.probe === "linear") {
          lines.push(
            `| linear layer ${c.size} x ${c.size} x ${c.size} in ${c.about}, forward and backward | ${
              Number(c.tflops).toFixed(0)
            } TFLOP/s |`,
          );
        } else if (c.probe === "nodes") {
          lines.push(
            `| a kernel in a captured step of ${c.count} | ${
              Number(c.us_per_node).toFixed(2)
            } us |`,
          );
        }
      }
      lines.push("");
    }
    const modes = [...new Set(r.comparisons.flatMap((c) => Object.keys(c.torch_ms)))];
    lines.push(
      `| workload | ours | ${modes.map((m) => `PyTorch ${m} | ratio`).join(" | ")} |`,
      `| --- | --- | ${modes.map(() => "--- | ---").join(" | ")} |`,
    );
    for (const c of r.comparisons) {
      const cells = modes.map((m) =>
        c.torch_ms[m] === undefined
          ? "- | -"
          : `${c.torch_ms[m].toPrecision(4)} | ${c.ratios[m] ?? "-"}`
      );
      lines.push(
        `| ${c.name} | ${c.pta_ms?.toPrecision(4) ?? `failed: ${c.errors.pta}`} | ${
          cells.join(" | ")
        } |`,
      );
    }
    lines.push("");
  }
  return lines.join("\n");
}

if (import.meta.main) {
  const folder = new URL("results/", import.meta.url), results: Result[] = [];
  for (const { name } of Deno.readDirSync(folder)) {
    if (name.endsWith("_gpu.json")) {
      results.push(JSON.parse(Deno.readTextFileSync(new URL(name, folder))) as Result);
    }
  }
  results.sort((a, b) => b.date.localeCompare(a.date));
  Deno.writeTextFileSync(
    new URL("../docs/performance.md", import.meta.url),
    performancePage(results),
  );
}
