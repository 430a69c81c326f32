/** The words of the command line: which command, which flags. */
import { ExitCode } from "./exit_codes.ts";
import { type CommandName, COMMANDS, mainHelp } from "./help.ts";
import { UsageError } from "./settings.ts";

/**
 * Runs what a command line says. What a command needs is loaded when it is called.
 *
 * @returns Exit code
 * @throws {UsageError} If the words, the settings or the environment are wrong; nothing was started then
 */
export async function commandLine(args: readonly string[]): Promise<number> {
  const [word, ...rest] = args;
  if (word !== undefined && Object.hasOwn(COMMANDS, word) && !exists(word, true)) {
    if (word === "launch") return await launchCommand(rest);
    const { runCommand } = await import("./commands.ts");
    return await runCommand(word as Exclude<CommandName, "launch">, rest);
  }
  return await launchCommand(args);
}

async function launchCommand(args: readonly string[]): Promise<number> {
  const { readFlags } = await import("./args.ts");
  const flags = readFlags(args, { settings: true, switches: ["dry-run"] });
  if (flags.help) {
    console.log(mainHelp());
    return ExitCode.ok;
  }
  const [script, ...scriptArgs] = flags.rest;
  if (script === undefined) {
    throw new UsageError("Missing the script: deno run -A launch/launch.ts [flags] train.ts");
  }
  await checkWord(script);
  const program = { script, args: scriptArgs };
  if (flags.own["dry-run"]) {
    const { dryRun } = await import("./dry_run.ts");
    await dryRun(flags.settings, flags.configFile, program);
    return ExitCode.ok;
  }
  const { runProgram } = await import("./run.ts");
  return await runProgram(flags.settings, flags.configFile, program);
}

/** A word that is no file may be a command with a slip of the hand. */
async function checkWord(word: string): Promise<void> {
  if (/[./:]/.test(word) || exists(word)) return;
  const { nearest } = await import("./suggest.ts");
  const near = nearest(word, Object.keys(COMMANDS));
  if (near === undefined) return;
  throw new UsageError(`Unknown command ${word}: did you mean ${near}?`);
}

function exists(path: string, isFile = false): boolean {
  try {
    return Deno.statSync(path).isFile || !isFile;
  } catch {
    return false;
  }
}
