/**
 * Starts a training script on one or several ranks: `deno run -A jsr:@pta/launch --num-processes 2 train.ts`. The same script runs
 * unchanged without it.
 *
 * @module
 */
import { helpText, readArgs } from "./args.ts";
import { runRanks } from "./spawn.ts";

/**
 * Runs the launcher.
 *
 * @param args Command line, as `--help` describes it
 * @returns The exit code
 */
export default async function launch(args: readonly string[]): Promise<number> {
  try {
    const options = readArgs(args);
    if (options === undefined) {
      console.log(helpText);
      return 0;
    }
    checkScript(options.script);
    return await runRanks(options);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    console.error(error.message);
    return 2;
  }
}

/** @throws {RangeError} When a script that should be a file is none */
function checkScript(script: string): void {
  // Other schemes (https:, jsr:) are for Deno to resolve, and a compiled trainer holds its script.
  if (/^[a-z]+:/.test(script) || Deno.build.standalone) return;
  try {
    if (Deno.statSync(script).isFile) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new RangeError(`Cannot launch ${script}: there is no such file`);
}

if (import.meta.main) Deno.exit(await launch(Deno.args));
