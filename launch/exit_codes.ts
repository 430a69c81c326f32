/** What exit codes and signals mean, of the launcher and of ranks. */

/** Exit codes of the launcher that are not those of a rank. */
export const ExitCode = {
  ok: 0,
  /** The command line, the settings or the environment are wrong; nothing was started. */
  usage: 2,
  /** A rank had no heartbeat for longer than `--heartbeat-timeout`. */
  silent: 124,
} as const;

/** Signals that end ranks: number, and the usual reason. */
export const SIGNALS: Readonly<Record<string, { number: number; meaning: string }>> = {
  SIGHUP: { number: 1, meaning: "its terminal was closed" },
  SIGINT: { number: 2, meaning: "interrupted, usually by Ctrl-C" },
  SIGQUIT: { number: 3, meaning: "asked to quit" },
  SIGILL: { number: 4, meaning: "illegal instruction; V8 also ends so when it is out of memory" },
  SIGTRAP: { number: 5, meaning: "V8 stopped on an internal error, often out of memory" },
  SIGABRT: { number: 6, meaning: "aborted itself, often out of memory or a failed assertion" },
  SIGBUS: { number: 7, meaning: "invalid memory access, often a full /dev/shm" },
  SIGFPE: { number: 8, meaning: "invalid arithmetic" },
  SIGKILL: { number: 9, meaning: "killed from outside, often by the system when memory runs out" },
  SIGUSR1: { number: 10, meaning: "a signal of its own, often from a job scheduler" },
  SIGSEGV: { number: 11, meaning: "invalid memory access, often in a native library" },
  SIGUSR2: { number: 12, meaning: "a signal of its own, often from a job scheduler" },
  SIGPIPE: { number: 13, meaning: "its output was closed" },
  SIGALRM: { number: 14, meaning: "a timer ran out" },
  SIGTERM: { number: 15, meaning: "asked to end from outside, such as by a job scheduler" },
  SIGXCPU: { number: 24, meaning: "its limit of processor time" },
  SIGXFSZ: { number: 25, meaning: "its limit of file size" },
};

const CODES: Readonly<Record<number, string>> = {
  1: "an error that nobody caught",
  126: "the program could not be executed",
  127: "the program was not found",
};

/** What the exit code of a rank usually means; `undefined` for one that only its script knows. */
export function codeMeaning(code: number): string | undefined {
  const signal = Object.entries(SIGNALS).find(([, { number }]) => 128 + number === code);
  return CODES[code] ?? (signal === undefined ? undefined : `${signal[0]}, ${signal[1].meaning}`);
}
