/**
 * `deno task test [PART...]`: every test and every snippet of the docs, in several processes at once; `deno task check` checks their types. PARTs of paths
 * choose among the files of tests. `--soak` runs those files that leave something out otherwise, in full. Ends with `ok | N passed | N failed`.
 */

/** What takes longest comes first, so that no core waits at the end. */
// deno-fmt-ignore
const long: readonly string[] = ["launch_machines", "checkpoint_ranks", "dist_machines", "dist_failures", "examples", "launch", "launch_training",
  "launch_failure", "golden_suites", "estimate", "examples_trainer", "cuda_emulated", "checkpoint_kill", "tcp_comm", "precision", "ops", "drill_launch",
  "launch_commands", "dist_data_parallel", "cuda_staging", "dist_nccl"];
/** Files that share an isolate: each of its own would load the library once more, which takes longer than most files. */
const perIsolate = 12;
const documented = [["mod.ts", "README.md", "docs/"], ["core/"], ["trainer/", "ffi/", "launch/"]];
const together = "tests/together.ts", soak = "--soak";

/** One run of `deno test`. */
interface Job {
  readonly name: string;
  readonly args: readonly string[];
}

/** Totals of a job, or of all. */
interface Totals {
  passed: number;
  failed: number;
  ignored: number;
}

const root = new URL("..", import.meta.url);
const summary = /^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed(?:.*? \| (\d+) ignored)?.*$/m;
// deno-lint-ignore no-control-regex -- colours of a terminal
const colours = /\x1b\[\d*m/g;

/** Whether a file of tests leaves out what takes long. */
const isSoaked = (path: string) =>
  Deno.readTextFileSync(new URL(path, root)).includes('from "./soak.ts"');

/** The jobs in the order in which they start; with parts, those of the files of tests that have one of them in their paths. */
function jobsOf(parts: readonly string[]): Job[] {
  const all = [...Deno.readDirSync(new URL("tests", root))].map((entry) => `tests/${entry.name}`)
    .filter((path) => path.endsWith("_test.ts")).sort();
  const ordered = [...new Set([...long.map((name) => `tests/${name}_test.ts`), ...all])];
  const files = ordered.filter((path) =>
    parts.length === 0 || parts.some((part) => part === soak ? isSoaked(path) : path.includes(part))
  );
  if (files.length === 0) throw new Error(`Cannot test ${parts}: no file of tests/ has that`);
  const first = files.filter((path) => ordered.indexOf(path) < long.length);
  const others = files.slice(first.length);
  const count = Math.ceil(others.length / perIsolate);
  const groups = Array.from({ length: count }, (_, i) => others.filter((_, k) => k % count === i));
  const snippets = parts.length > 0 ? [] : documented;
  return [
    ...first.map((path) => ({ name: path, args: [path] })),
    ...snippets.map((of) => ({ name: `snippets of ${of.join(", ")}`, args: ["--doc", ...of] })),
    ...groups.map((group) => ({ name: group.join(", "), args: [together, "--", ...group] })),
  ];
}

/** Runs a job to its end, shows what it said, and adds to the totals. */
async function run({ name, args }: Job, totals: Totals): Promise<boolean> {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--quiet", ...args],
    cwd: root,
    stdin: "null",
    env: {
      ...(Deno.stdout.isTerminal() ? {} : { NO_COLOR: "1" }),
      ...(Deno.args.includes(soak) ? { PTA_TEST_SOAK: "1" } : {}),
    },
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(output.stdout) + decoder.decode(output.stderr);
  const [line, passed, failed, ignored] = summary.exec(text.replaceAll(colours, "")) ?? [];
  totals.passed += Number(passed ?? 0);
  totals.ignored += Number(ignored ?? 0);
  // A process may die without a word, or end badly with all its tests passed.
  const isWell = output.success && line !== undefined;
  totals.failed += isWell ? 0 : Math.max(1, Number(failed ?? 0));
  const shown = text.split("\n").filter((l) => l.replaceAll(colours, "") !== line).join("\n")
    .replace(`from ./${together}`, `from ${name}`);
  if (shown.trim() !== "") console.log(shown.trim());
  if (!isWell) console.log(`FAILED: ${name}, exit code ${output.code}`);
  return isWell;
}

async function main(parts: readonly string[]): Promise<number> {
  const begin = performance.now(), totals: Totals = { passed: 0, failed: 0, ignored: 0 };
  const waiting = jobsOf(parts), failures: string[] = [];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (!await run(next, totals)) failures.push(next.name);
    }
  };
  // One more than there are cores: launched ranks wait for each other, and for time to pass.
  const processes = Math.min(8, Math.max(1, navigator.hardwareConcurrency)) + 1;
  await Promise.all(Array.from({ length: processes }, work));
  for (const name of failures) console.log(`FAILED: ${name}`);
  const { passed, failed, ignored } = totals, isWell = failures.length === 0;
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(
    `\n${isWell ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed` +
      `${ignored > 0 ? ` | ${ignored} ignored` : ""} (${seconds}s)`,
  );
  return isWell ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
