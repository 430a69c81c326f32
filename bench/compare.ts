/**
 * `deno task bench:compare WORKLOAD --batch N --threads N --seconds S --rounds R [--blas off|auto|PATH]`: alternates the benchmark with its
 * PyTorch twin and prints the medians and the ratio of steps per second, first readable, then as one JSON line. `PTA_PYTHON` names the
 * Python that has PyTorch; `python3` otherwise. Other flags, such as `--size`, go to both sides.
 */
import { parseArgs } from "@std/cli/parse-args";

/** What one side printed. */
interface Report {
  ms_per_step: number;
  [field: string]: unknown;
}

const flags = parseArgs(Deno.args, {
  string: ["blas", "batch", "threads", "seconds", "size"],
  default: { threads: "1", seconds: "3", rounds: 5 },
});
const workload = String(flags._[0] ?? "mlp"), rounds = Number(flags.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  fail(`Cannot compare in ${flags.rounds} rounds: it takes 1 or more`);
}
const here = (path: string): string => new URL(path, import.meta.url).pathname;
const python = Deno.env.get("PTA_PYTHON") ?? "python3";
const shared = (["batch", "threads", "seconds", "size"] as const).flatMap((name) =>
  flags[name] === undefined ? [] : [`--${name}`, flags[name]]
);
const ownFlags = flags.blas === undefined ? [] : ["--blas", flags.blas];
const sides = {
  pta: [Deno.execPath(), "run", "-A", here("./bench.ts"), workload, ...shared, ...ownFlags],
  torch: [python, here(`./torch/${workload}.py`), ...shared],
};

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}

function measure(command: string[]): Report {
  let output: Deno.CommandOutput;
  try {
    output = new Deno.Command(command[0], { args: command.slice(1), stderr: "inherit" })
      .outputSync();
  } catch (error) {
    fail(
      `Cannot run ${command[0]}: ${
        (error as Error).message
      }; set PTA_PYTHON to a Python that has PyTorch`,
    );
  }
  if (!output.success) fail(`Cannot measure: "${command.join(" ")}" ended with ${output.code}`);
  const line = new TextDecoder().decode(output.stdout).trim().split("\n").at(-1) ?? "";
  return JSON.parse(line) as Report;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const ours: Report[] = [], theirs: Report[] = [];
for (let round = 1; round <= rounds; round++) {
  ours.push(measure(sides.pta));
  theirs.push(measure(sides.torch));
  const [a, b] = [ours, theirs].map((all) => all[round - 1].ms_per_step);
  console.log(
    `round ${round}: pta ${a.toFixed(3)} ms, PyTorch ${b.toFixed(3)} ms, ratio ${
      (b / a).toFixed(3)
    }`,
  );
}
const pta = median(ours.map((r) => r.ms_per_step));
const torch = median(theirs.map((r) => r.ms_per_step));
console.log(
  `${workload}, ${flags.threads} threads, median of ${rounds}: pta ${pta.toFixed(3)} ms, PyTorch ${
    torch.toFixed(3)
  } ms; pta makes ${(torch / pta).toFixed(3)} times PyTorch's steps per second`,
);
console.log(JSON.stringify({
  workload,
  batch: ours[0].batch,
  threads: Number(flags.threads),
  rounds,
  pta_ms_per_step: pta,
  torch_ms_per_step: torch,
  ratio: Number((torch / pta).toPrecision(4)),
  ratios: ours.map((r, i) => Number((theirs[i].ms_per_step / r.ms_per_step).toPrecision(4))),
  blas: flags.blas ?? ours[0].blas ?? "auto",
  backend: ours[0].backend,
  versions: { ...(ours[0].versions as object), torch: theirs[0].torch },
}));
