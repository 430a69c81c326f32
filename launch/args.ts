/** The launcher's own flags, which come before the script; everything after the script belongs to the script. */
import { parseArgs } from "@std/cli/parse-args";

/** What the command line asks for. */
export interface LaunchArgs {
  readonly script: string;
  readonly scriptArgs: readonly string[];
  readonly numProcesses: number;
  readonly cpu: boolean;
  readonly turbo: boolean;
  readonly quiet: boolean;
  readonly logDir: string | undefined;
}

/** A mistake on the command line; its message is one line. */
export class UsageError extends Error {
  override name = "UsageError";
}

const VALUE_FLAGS = ["num-processes", "log-dir"] as const;
const SWITCHES = ["cpu", "turbo", "quiet", "help"] as const;
const MAX_PROCESSES = 1024;

/** What `--help` prints. */
export const HELP = `Starts a training script once per rank.

Usage: deno run -A launch/launch.ts [flags] train.ts [arguments of the script]

  --num-processes N   number of ranks on this machine (default 1)
  --cpu               train on the CPU (sets PTA_DEVICE=cpu)
  --turbo             start the ranks with V8's wide-vector flags (sets PTA_TURBO=1).
                      Risk: these flags are experimental, hold for the whole process and
                      switch off the bounds checks of ALL WebAssembly in it: a fault in a
                      module then corrupts memory instead of raising an error. Not for
                      scripts that load WebAssembly you do not trust
  --log-dir DIR       also write the output of each rank to DIR/rank_0.log, ...
  --quiet             print the output of rank 0 only; failures are reported all the same
  --help              print this text

Each rank finds RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT in
its environment. When one rank fails the others are stopped, and the launcher ends with the exit
code of the rank that failed first (128 + signal number when a signal ended it). A wrong command
line ends with 2.
`;

/**
 * Reads the command line. Flags may be written with hyphens or underscores.
 *
 * @returns What to launch, or `"help"`
 * @throws {UsageError} If a flag is unknown, lacks its value, or the script is missing
 */
export function parseLaunchArgs(args: readonly string[]): LaunchArgs | "help" {
  const { own, rest } = splitAtScript(args);
  const parsed = parseArgs(own, {
    string: VALUE_FLAGS,
    collect: VALUE_FLAGS,
    boolean: SWITCHES,
    alias: { help: "h" },
    unknown: (arg) => {
      throw new UsageError(`Unknown flag ${arg}${suggestion(arg)}`);
    },
  });
  const valueOf = (name: (typeof VALUE_FLAGS)[number]) => {
    const given: string[] = parsed[name];
    if (given.length > 1) throw new UsageError(`Cannot use --${name} twice`);
    if (given[0] === "") throw new UsageError(`Missing the value of --${name}`);
    return given.at(0);
  };
  if (parsed.help) return "help";
  const [script, ...scriptArgs] = rest;
  if (script === undefined) {
    throw new UsageError("Missing the script: deno run -A launch/launch.ts [flags] train.ts");
  }
  return {
    script,
    scriptArgs,
    numProcesses: readCount(valueOf("num-processes") ?? "1"),
    cpu: parsed.cpu,
    turbo: parsed.turbo,
    quiet: parsed.quiet,
    logDir: valueOf("log-dir"),
  };
}

/** The script is the first word that is neither a flag nor the value of one. */
function splitAtScript(args: readonly string[]): { own: string[]; rest: string[] } {
  const own: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") return { own, rest: args.slice(i + 1) };
    if (!args[i].startsWith("-")) return { own, rest: args.slice(i) };
    const [flag, ...value] = args[i].split("=");
    const name = flag.replaceAll("_", "-");
    own.push([name, ...value].join("="));
    const takesNext = value.length === 0 && VALUE_FLAGS.some((f) => `--${f}` === name);
    // a flag there is a forgotten value, which parseArgs leaves empty
    if (takesNext && i + 1 < args.length && !args[i + 1].startsWith("-")) own.push(args[++i]);
  }
  return { own, rest: [] };
}

function readCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > MAX_PROCESSES) {
    throw new UsageError(
      `Cannot start ${text} processes: wanted a whole number from 1 to ${MAX_PROCESSES}`,
    );
  }
  return count;
}

function suggestion(arg: string): string {
  const name = arg.replace(/^-+/, "").split("=")[0];
  const known = [...VALUE_FLAGS, ...SWITCHES];
  const ranked = known.map((k) => [distance(name, k), k] as const).sort((a, b) => a[0] - b[0]);
  const starts = known.find((k) => name.length > 1 && k.startsWith(name));
  const best = starts ?? (ranked[0][0] <= Math.min(3, name.length / 2) ? ranked[0][1] : undefined);
  return best === undefined ? "; --help lists all flags" : `: did you mean --${best}?`;
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
