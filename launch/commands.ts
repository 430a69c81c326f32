/** The commands beside `launch`. */
import { readFlags } from "./args.ts";
import { type CommandName, HELP } from "./help.ts";
import { UsageError } from "./settings.ts";

type Name = Exclude<CommandName, "launch">;
type Command = (args: readonly string[]) => Promise<number>;

/** Loads a command when it is called. */
const LOAD: Record<Name, () => Promise<Command>> = {
  config: async () => (await import("./config_command.ts")).configCommand,
  env: async () => (await import("./env_command.ts")).envCommand,
  test: async () => (await import("./test_command.ts")).testCommand,
  estimate: async () => (await import("./estimate_command.ts")).estimateCommand,
  report: async () => (await import("./report_command.ts")).reportCommand,
};

/**
 * Runs a command of the command line.
 *
 * @returns Exit code
 * @throws {UsageError} If its words are wrong
 */
export async function runCommand(name: Name, args: readonly string[]): Promise<number> {
  if (args.some((word) => word === "--help" || word === "-h")) {
    console.log(HELP[name]());
    return 0;
  }
  return await (await LOAD[name]())(args);
}

/** Whether words are left where none may be. */
export function noMore(rest: readonly string[], usage: string): void {
  if (rest.length > 0) throw new UsageError(`Unexpected ${rest[0]}: wanted ${usage}`);
}

export { readFlags };
