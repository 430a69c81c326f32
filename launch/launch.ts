/**
 * Starts a training script once per rank: `deno run -A launch/launch.ts --num-processes 2 train.ts`.
 *
 * The ranks are processes of their own. Their lines are prefixed, signals are passed on, and when one rank fails the
 * others are stopped and one block says which it was and why.
 *
 * @module
 */
import { isLaunched } from "@pta/core/dist/rank";
import { ExitCode } from "./exit_codes.ts";
import { commandLine } from "./command_line.ts";
import { type LaunchOptions, settingsOf } from "./options.ts";
import { readValue, SETTING_NAMES, UsageError } from "./settings.ts";

export { isLaunched, UsageError };
export type { LaunchOptions };

/**
 * Runs a script, or the running program itself, once per rank and waits for all of them. A failure is explained on the
 * error output. Ranks are new processes: a notebook may call it at any time, with the URL of a module.
 *
 * ```ts ignore
 * import { isLaunched, launch } from "@pta/launch";
 *
 * if (!isLaunched()) Deno.exit(await launch({ numProcesses: 2 }));
 *
 * await launch(import.meta.resolve("./train.ts"), { numProcesses: 2 });
 * ```
 *
 * @param script Path or URL of what to run, or the options; by default the running program, and a compiled program runs
 * itself
 * @param options How to run it; what is left out comes from the environment, then from defaults
 * @returns Exit code: 0, or that of the rank that failed first (128 + signal number when a signal ended it)
 * @throws {UsageError} If an option is wrong or contradicts another
 * @throws {Error} If called in a rank without a script, or a process cannot be started
 */
export async function launch(
  script?: string | URL | LaunchOptions,
  options: LaunchOptions = {},
): Promise<number> {
  const isScript = typeof script === "string" || script instanceof URL;
  const given: LaunchOptions = isScript ? { ...options, script } : script ?? options;
  const known: readonly string[] = SETTING_NAMES;
  const settings: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(settingsOf(given))) {
    if (value === undefined) continue;
    const setting = SETTING_NAMES.find((n) => n === name);
    if (setting === undefined) {
      const { nearest } = await import("./suggest.ts");
      const near = nearest(name, [...known, "script", "args"]);
      throw new UsageError(
        `Unknown option ${name}${near === undefined ? "" : `: did you mean ${near}?`}`,
      );
    }
    settings[name] = readValue(setting, String(value), `${name}: ${value}`);
  }
  if (given.script === undefined && isLaunched()) {
    throw new Error("Cannot launch from a rank: it would start itself without end");
  }
  const { runProgram } = await import("./run.ts");
  return await runProgram(settings, null, {
    script: given.script?.toString(),
    // a script of another name has arguments of its own
    args: given.args ?? (given.script === undefined ? Deno.args : []),
  });
}

if (import.meta.main) {
  let code: number;
  try {
    code = await commandLine(Deno.args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`launch: ${error.message}`);
    code = ExitCode.usage;
  }
  Deno.exit(code);
}
