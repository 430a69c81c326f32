/** `test`: runs the built-in script on the configured ranks. */
import { readFlags } from "./args.ts";
import { scriptUrl } from "./child.ts";
import { runProgram } from "./run.ts";
import { UsageError } from "./settings.ts";

/** Runs `test`. */
export async function testCommand(args: readonly string[]): Promise<number> {
  const { settings, configFile, rest } = readFlags(args, { settings: true, anywhere: true });
  if (rest.length > 0) throw new UsageError(`Unexpected ${rest[0]}: test takes no words`);
  return await runProgram(settings, configFile, { script: scriptUrl("self_test.ts"), args: [] });
}
