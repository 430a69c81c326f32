/**
 * `deno task test:gpu` and `deno task test:emulator`: the whole test matrix on a CUDA device, real or emulated: fused and not, with NVIDIA's libraries and with our own kernels, PyTorch's
 * samples, memory over a thousand steps, the first example, and compute-sanitizer where it is. Ends with `N passed, N failed`. `--only REGEXP` runs a part,
 * `--quick` leaves out PyTorch's samples.
 */
import { parseArgs } from "@std/cli/parse-args";

const flags = parseArgs(Deno.args, { string: ["only"], boolean: ["emulator", "quick"] });
const deno = Deno.execPath(), here = (path: string) => new URL(path, import.meta.url).pathname;
const only = new RegExp(flags.only ?? ".");

/** Test files that run once for each device. */
const matrix = [...Deno.readDirSync(here("../tests"))].map((f) => f.name)
  .filter((name) => name.endsWith("_test.ts"))
  .filter((name) => /\beachDevice\b/.test(Deno.readTextFileSync(here(`../tests/${name}`))))
  .map((name) => `tests/${name}`).sort();
const some = (...names: string[]) => names.map((name) => `tests/${name}_test.ts`);
const test = (...files: string[]) => ["test", "-A", "--no-check", "--quiet", ...files];

/** One run of a command of Deno's. */
interface Run {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const plain = { PTA_CUBLAS: "off", PTA_CUDNN: "off" };
const runs: readonly Run[] = [
  { name: "matrix", args: test(...matrix) },
  {
    name: "fusion off",
    args: test(...some("ops", "grad", "capture", "lifetime", "golden_parts")),
    env: { PTA_FUSE: "0" },
  },
  {
    name: "own kernels",
    args: test(...some("matmul", "vision", "windows", "transformer", "nn_layers")),
    env: plain,
  },
  {
    name: "every buffer its own",
    args: test(...some("ops", "assign", "capture", "optim")),
    env: { PTA_CUDA_CACHE: "0" },
  },
  ...(flags.emulator
    ? [{
      name: "effects delayed",
      args: test(...some("assign", "optim", "lifetime", "norm")),
      // Without the waits of the other runs: what an event or a wait orders is all that is ordered.
      env: { PTA_EMULATOR_DELAY: "1", PTA_CUDA_SYNC: "0" },
    }]
    : []),
  { name: "memory", args: test(...some("device_memory")) },
  ...(flags.quick ? [] : [{
    name: "PyTorch's samples",
    args: ["run", "-A", "--no-check", "tests/golden/run.ts", "--suite", "all"],
  }]),
  { name: "digits", args: ["run", "-A", "--no-check", "examples/digits.ts", "--epochs", "3"] },
];

const decoder = new TextDecoder();
/** Runs a command, shows what it says, and returns it. */
async function go(command: readonly string[], env: Readonly<Record<string, string>>) {
  const child = new Deno.Command(command[0], {
    args: command.slice(1),
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "inherit",
    cwd: here(".."),
  }).spawn();
  let text = "";
  for await (const chunk of child.stdout) {
    await Deno.stdout.write(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return { text, code: (await child.status).code };
}

let passed = 0, failed = 0;
const bad: string[] = [];

/** Totals of a run: of its tests, of its samples, or of itself. */
function count(name: string, text: string, code: number): void {
  const tests = /^(?:ok|FAILED) \| (\d+) passed(?:.*?)\| (\d+) failed/m.exec(text);
  const samples = /samples_passed=(\d+) samples_failed=(\d+)/.exec(text);
  const [p, f] = (tests ?? samples)?.slice(1).map(Number) ?? [Number(code === 0), 0];
  passed += p;
  failed += code !== 0 && f === 0 ? 1 : f;
  if (code !== 0 || f > 0) bad.push(`${name}: ${f} failed, exit code ${code}`);
}

const device = { PTA_DEVICE: "cuda", PTA_TEST_DEVICES: "ref,cuda" };
/** Many tests expect an index out of range at the call that computes it; on a device that is the next wait. */
const prompt = { PTA_CUDA_SYNC: "1" };
for (const run of runs.filter((r) => only.test(r.name))) {
  const start = performance.now();
  console.log(`\n== ${run.name}`);
  if (flags.emulator) {
    await go(
      [deno, "run", "-A", here("../tests/emulator/warm.ts"), "deno", ...run.args],
      run.env ?? {},
    );
  }
  const command = flags.emulator
    ? [deno, "run", "-A", here("../tests/emulator/run.ts"), "deno", ...run.args]
    : [deno, ...run.args];
  const { text, code } = await go(command, {
    ...(flags.emulator ? {} : device),
    ...prompt,
    ...run.env,
  });
  count(run.name, text, code);
  console.log(
    `-- ${run.name}: exit code ${code}, ${((performance.now() - start) / 1000).toFixed(0)} s`,
  );
}
if (!flags.emulator && only.test("sanitizer")) {
  try {
    const command = [
      "compute-sanitizer",
      "--error-exitcode",
      "9",
      deno,
      ...test(...some("capture")),
    ];
    const { text, code } = await go(command, device);
    count("sanitizer", text, code);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("\n== sanitizer: compute-sanitizer is not installed");
  }
}
for (const line of bad) console.log(`failed: ${line}`);
console.log(`\n${passed} passed, ${failed} failed`);
Deno.exit(failed > 0 ? 1 : 0);
