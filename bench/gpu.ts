/**
 * `deno task bench:gpu [--seconds S] [--rounds R] [--only REGEXP] [--out FILE]`: every workload on the GPU beside PyTorch on the same card, alternating, after the
 * ceilings of the card. Prints a line for each and writes all of it as JSON, which `deno task performance` turns into docs/performance.md.
 */
import { parseArgs } from "@std/cli/parse-args";

const flags = parseArgs(Deno.args, {
  string: ["only", "out", "device"],
  default: { seconds: 3, rounds: 3, device: "cuda" },
});

/** A comparison: our flags, and PyTorch's ways to do the same. */
interface Comparison {
  readonly name: string;
  readonly ours: readonly string[];
  readonly script: string;
  readonly flags: readonly string[];
  readonly modes: readonly string[];
  /** Our switches for this comparison. */
  readonly env?: Readonly<Record<string, string>>;
}

const bf16 = ["--dtype", "bfloat16"];
const comparisons: readonly Comparison[] = [
  ...[32, 512].map((batch): Comparison => ({
    name: `mlp b${batch}`,
    ours: ["mlp", "--batch", `${batch}`],
    script: "mlp.py",
    flags: ["--batch", `${batch}`],
    modes: ["eager", "compile", "graphs"],
  })),
  ...[64, 1024].map((batch): Comparison => ({
    name: `cnn b${batch}`,
    ours: ["cnn", "--batch", `${batch}`],
    script: "cnn.py",
    flags: ["--batch", `${batch}`],
    modes: ["eager", "compile"],
  })),
  {
    name: "resnet18 b256 bf16",
    ours: ["resnet18", "--batch", "256", ...bf16],
    script: "resnet.py",
    flags: ["--batch", "256", "--depth", "18", "--channels-last", ...bf16],
    modes: ["eager", "compile"],
  },
  {
    name: "resnet50 b128 bf16",
    ours: ["resnet50", "--batch", "128", ...bf16],
    script: "resnet.py",
    flags: ["--batch", "128", "--depth", "50", "--channels-last", ...bf16],
    modes: ["eager", "compile"],
  },
  // Ways to do the same, each kept only where it is faster than the default.
  ...([["nchw", { PTA_CUDNN_LAYOUT: "nchw" }], ["cudnn norm", { PTA_CUDNN_NORM: "on" }]] as const)
    .map(
      ([about, env]): Comparison => ({
        name: `resnet50 b128 bf16 ${about}`,
        ours: ["resnet50", "--batch", "128", ...bf16],
        script: "resnet.py",
        flags: [],
        modes: [],
        env,
      }),
    ),
  ...[32, 16, 8].map((batch): Comparison => ({
    name: `gpt2 b${batch} bf16`,
    ours: ["gpt2", "--batch", `${batch}`, ...bf16],
    script: "gpt.py",
    flags: ["--config", "gpt2", "--batch", `${batch}`, ...bf16],
    modes: ["eager", "compile"],
  })),
];

interface Line {
  ms_per_step?: number;
  error?: string;
  [field: string]: unknown;
}

const here = (path: string): string => new URL(path, import.meta.url).pathname;
const python = Deno.env.get("PTA_PYTHON") ?? "python3";

/** What a command prints; nothing when it cannot be run. */
function said(name: string, ...args: string[]): string {
  try {
    return new TextDecoder().decode(new Deno.Command(name, { args }).outputSync().stdout).trim();
  } catch {
    return "";
  }
}

/** The JSON lines that a command prints. */
async function lines(
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Line[]> {
  const { success, stdout, stderr } = await new Deno.Command(command[0], {
    args: command.slice(1),
    env,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stdout);
  const found = text.split("\n").filter((l) => l.startsWith("{")).map((l) => JSON.parse(l) as Line);
  if (success) return found;
  const why = new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join(" | ");
  return [...found, { error: why }];
}

const middle = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
const wanted = new RegExp(flags.only ?? ".");
const deno = Deno.execPath(), device: string[] = ["--device", String(flags.device)];
const time: string[] = ["--seconds", `${flags.seconds}`];
const result = {
  date: new Date().toISOString().slice(0, 10),
  commit: said("git", "rev-parse", "--short", "HEAD"),
  deno: Deno.version.deno,
  gpu: said(
    "nvidia-smi",
    "--query-gpu=name,driver_version,power.limit,clocks.max.sm",
    "--format=csv,noheader",
  ),
  ceilings: [] as Line[],
  comparisons: [] as Record<string, unknown>[],
};
const out = flags.out ?? here(`results/${result.date}_gpu.json`);
/** After every comparison: what was measured is not lost when a later one fails. */
const save = () => Deno.writeTextFileSync(out, JSON.stringify(result, null, 1) + "\n");

if (wanted.test("ceilings")) {
  result.ceilings = await lines([deno, "run", "-A", here("ceilings.ts"), ...device]);
  for (const line of result.ceilings) console.log(JSON.stringify(line));
  save();
}
for (const c of comparisons.filter((c) => wanted.test(c.name))) {
  const ours: number[] = [],
    theirs: Record<string, number[]> = {},
    errors: Record<string, string> = {};
  for (let round = 0; round < flags.rounds; round++) {
    const [mine] = await lines([
      deno,
      "run",
      "-A",
      here("bench.ts"),
      ...c.ours,
      ...device,
      ...time,
    ], c.env);
    if (mine?.ms_per_step === undefined) errors.pta = mine?.error ?? "no output";
    else ours.push(mine.ms_per_step);
    for (const mode of c.modes) {
      if (errors[mode] !== undefined) continue;
      const [line] = await lines([
        python,
        here(`torch/${c.script}`),
        ...c.flags,
        ...device,
        ...time,
        "--mode",
        mode,
      ]);
      if (line?.ms_per_step === undefined) errors[mode] = line?.error ?? "no output";
      else (theirs[mode] ??= []).push(line.ms_per_step);
    }
    if (errors.pta !== undefined) break;
  }
  const ms = ours.length === 0 ? undefined : middle(ours);
  const torch = Object.fromEntries(Object.entries(theirs).map(([m, v]) => [m, middle(v)]));
  const ratios = ms === undefined
    ? {}
    : Object.fromEntries(Object.entries(torch).map(([m, v]) => [m, Number((v / ms).toFixed(3))]));
  const entry = { name: c.name, pta_ms: ms, torch_ms: torch, ratios, errors };
  result.comparisons.push(entry);
  console.log(JSON.stringify(entry));
  save();
}
console.log(`written to ${out}`);
