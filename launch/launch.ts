/**
 * Starts a training script once per rank: `deno run -A launch/launch.ts --num-processes 2 train.ts`.
 *
 * The ranks are processes of their own. Their lines are prefixed, signals are passed on, and when one rank fails the
 * others are stopped and one block says which it was and why.
 *
 * @module
 */
import { isLaunched } from "@pta/core/dist/rank";
import { HELP, parseLaunchArgs, UsageError } from "./args.ts";
import { type LaunchOptions, planRanks } from "./plan.ts";
import { report } from "./report.ts";
import { runRanks } from "./spawn.ts";

export { isLaunched };
export type { LaunchOptions };

/**
 * Runs a script, or the running program itself, once per rank and waits for all of them. A failure is explained on the
 * error output.
 *
 * ```ts ignore
 * import { isLaunched, launch } from "@pta/launch";
 *
 * if (!isLaunched()) Deno.exit(await launch({ numProcesses: 2 }));
 * ```
 *
 * @param options What to run; a compiled program runs itself
 * @returns Exit code: 0, or that of the rank that failed first (128 + signal number when a signal ended it)
 * @throws {RangeError} If `numProcesses` is no whole number of at least 1
 * @throws {Error} If called in a rank, or a process cannot be started
 */
export async function launch(options: LaunchOptions = {}): Promise<number> {
  const { numProcesses = 1, logDir, quiet } = options;
  if (!Number.isInteger(numProcesses) || numProcesses < 1) {
    throw new RangeError(`Cannot start ${numProcesses} processes: wanted 1 or more`);
  }
  if (options.script === undefined && isLaunched()) {
    throw new Error("Cannot launch from a rank: it would start itself without end");
  }
  const group = await runRanks(planRanks(options), { quiet, logDir });
  const errorsShown = numProcesses === 1 && logDir === undefined;
  const { code, text } = report(group, numProcesses, errorsShown);
  if (text !== "") console.error(text);
  return code;
}

/** The command line: returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const parsed = parseLaunchArgs(args);
    if (parsed === "help") {
      console.log(HELP.trimEnd());
      return 0;
    }
    const { script, scriptArgs, ...rest } = parsed;
    checkScript(script);
    return await launch({ ...rest, script, args: scriptArgs });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`launch: ${error.message}`);
    return 2;
  }
}

function checkScript(script: string): void {
  if (/^(https?|jsr|npm|data|file):/.test(script)) return;
  let what = "there is no such file";
  try {
    const found = Deno.statSync(script);
    if (!found.isDirectory) return;
    what = "it is a folder";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) what = (error as Error).message;
  }
  throw new UsageError(`Cannot run ${script}: ${what} (looked in ${Deno.cwd()})`);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
