/**
 * `deno task golden [--fixtures DIR] [--suite operators|modules|optimizers|all] [--only REGEXP] [--verbose]`: runs fixtures drawn from PyTorch's own sample
 * databases. Ends with `operators=… samples_passed=… samples_failed=… skipped=…`; the exit code is 1 when a sample failed
 * or none ran.
 */
import { parseArgs } from "@std/cli/parse-args";
import { runModules } from "./module_suite.ts";
import { runOptimizers } from "./optimizer_suite.ts";
import { runOperators, type SuiteResult } from "./operator_suite.ts";

type Suite = (directory: string, only: RegExp, verbose: boolean) => Promise<SuiteResult>;

const suites: Readonly<Record<string, Suite>> = {
  operators: runOperators,
  modules: runModules,
  optimizers: runOptimizers,
};

const flags = parseArgs(Deno.args, {
  string: ["fixtures", "suite", "only"],
  boolean: ["verbose"],
  default: { suite: "all", only: "" },
});
const here = new URL("./fixtures", import.meta.url).pathname;
const directory = flags.fixtures ?? here, only = new RegExp(flags.only ?? "");
const chosen = flags.suite === "all" ? Object.keys(suites) : [String(flags.suite)];
const unknown = chosen.find((s) => !(s in suites));
if (unknown !== undefined) {
  console.error(
    `Cannot run the suite ${unknown}: it must be all or one of ${Object.keys(suites).join(", ")}`,
  );
  Deno.exit(2);
}
const total: SuiteResult = { operators: 0, passed: 0, failed: 0, skipped: 0, lines: [] };
for (const name of chosen) {
  const found = await suites[name](directory, only, flags.verbose === true);
  for (const line of found.lines) console.log(line);
  total.operators += found.operators;
  total.passed += found.passed;
  total.failed += found.failed;
  total.skipped += found.skipped;
}
console.log(
  `operators=${total.operators} samples_passed=${total.passed} samples_failed=${total.failed} skipped=${total.skipped}`,
);
// A run of nothing proves nothing.
if (total.failed > 0 || total.passed === 0) Deno.exit(1);
