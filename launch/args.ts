/** The command line of the launcher. */
import { parseArgs } from "@std/cli/parse-args";

/** What the command line asks for. */
export interface LaunchOptions {
  /** Ranks to start on this machine. */
  readonly numProcesses: number;
  /** Whether the ranks use the CPU even where there is a GPU. */
  readonly cpu: boolean;
  /** Whether V8's wide-vector flags are set. */
  readonly turbo: boolean;
  /** Whether the output of ranks other than 0 is held back. */
  readonly quiet: boolean;
  /** Folder that gets one log file a rank. */
  readonly logDir: string | undefined;
  /** The script, and what it is given. */
  readonly script: string;
  readonly scriptArgs: readonly string[];
}

/** What `--help` prints. */
export const helpText = `Start a training script on one or several ranks.

Usage: deno run -A launch/launch.ts [options] SCRIPT [arguments of the script]

Options:
  --num-processes N  ranks to start on this machine (default 1)
  --cpu              use the CPU even where there is a GPU
  --turbo            set V8's wide-vector flags for the ranks: up to twice as fast on the CPU. They are
                     experimental and switch off bounds checks of every WebAssembly module in the process,
                     so use it only with code you trust
  --log-dir DIR      also write the output of each rank to DIR/rank_N.log
  --quiet            show the output of rank 0 only
  --help             this text

Each rank gets RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT. When one rank fails, the
others are stopped and one block says which failed first and why; the exit code is that of the rank, or 128 plus the
number of the signal that ended it.`;

const valued = ["num-processes", "log-dir"] as const;
const switches = ["cpu", "turbo", "quiet", "help"] as const;

/** Edits that turn one word into another. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, change));
    }
    row = next;
  }
  return row[b.length];
}

function unknownFlag(flag: string): RangeError {
  const name = flag.replace(/^-+/, "").split("=")[0];
  const [best] = [...valued, ...switches].sort((a, b) => distance(a, name) - distance(b, name));
  const hint = distance(best, name) <= 3
    ? `; did you mean --${best}`
    : "; --help lists the options";
  return new RangeError(`Cannot use the option ${flag}: there is none of that name${hint}`);
}

/**
 * Reads the command line.
 *
 * @returns The options, or undefined when help is asked for
 * @throws {RangeError} When an option is unknown or its value makes no sense, or the script is missing
 */
export function readArgs(args: readonly string[]): LaunchOptions | undefined {
  // Underscores are accepted too. What follows the script belongs to it.
  const own = args.map((a) =>
    a.startsWith("--") ? a.replace(/^[^=]+/, (s) => s.replaceAll("_", "-")) : a
  );
  let bad: string | undefined;
  const flags = parseArgs([...own], {
    string: [...valued],
    boolean: [...switches],
    stopEarly: true,
    unknown: (flag: string) => {
      if (flag.startsWith("-")) bad ??= flag;
      return !flag.startsWith("-");
    },
  });
  if (bad !== undefined) throw unknownFlag(bad);
  if (flags.help) return undefined;
  const rest = args.slice(args.length - flags._.length);
  if (rest.length === 0) {
    throw new RangeError(
      "Cannot launch without a script: name one after the options; --help shows how",
    );
  }
  const count = flags["num-processes"] ?? "1", numProcesses = Number(count);
  if (!/^\d+$/.test(count) || numProcesses < 1 || numProcesses > 1024) {
    throw new RangeError(
      `Cannot start ${count} processes: --num-processes is a whole number from 1 to 1024`,
    );
  }
  const logDir = flags["log-dir"];
  if (logDir === "") throw new RangeError("Cannot use --log-dir without a folder");
  return {
    numProcesses,
    cpu: flags.cpu === true,
    turbo: flags.turbo === true,
    quiet: flags.quiet === true,
    logDir,
    script: rest[0],
    scriptArgs: rest.slice(1),
  };
}
