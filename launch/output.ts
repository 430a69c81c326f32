/** The output of the ranks: whole lines, each with the name of its rank, never one inside another. */

/** Lines of a rank that are kept for the report: 20, and as many as an error takes. */
const KEPT_LINES = 60;
/** An error with its stack may be longer. */
const KEPT_ERRORS = 200;
const MAX_LINE = 1 << 16;
// deno-lint-ignore no-control-regex -- colours are control characters
const COLOURS = /\x1b\[[\d;]*m/g;

/** Where the lines of one rank go. */
export interface OutputOptions {
  /** Put before each line. */
  readonly prefix: string;
  /** Whether they are printed. */
  readonly print: boolean;
  /** File that takes them too. */
  readonly log: string | undefined;
  /** Whether the file keeps what it holds. */
  readonly append: boolean;
  /** Called when the launcher's own output is closed. */
  readonly onBroken: () => void;
}

/** Passes the lines of one rank on and remembers the last of them. */
export class RankOutput {
  readonly #lastLines: string[] = [];
  readonly #lastErrors: string[] = [];
  readonly #options: OutputOptions;
  #log: Deno.FsFile | undefined;
  #print: boolean;

  /** @throws {Error} If the file cannot be written */
  constructor(options: OutputOptions) {
    this.#options = options;
    this.#print = options.print;
    const { log, append } = options;
    if (log !== undefined) {
      this.#log = Deno.openSync(log, { write: true, create: true, append, truncate: !append });
    }
  }

  /** The last lines of output and error output together. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  /** The last lines of the error output. */
  get lastErrors(): readonly string[] {
    return this.#lastErrors;
  }

  /** Passes a stream on, line by line, until it ends. */
  async pump(stream: ReadableStream<Uint8Array>, isError: boolean): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      if (rest.length > MAX_LINE) {
        lines.push(rest);
        rest = "";
      }
      this.#put(lines, isError);
    }
    if (rest !== "") this.#put([rest], isError);
  }

  close(): void {
    this.#log?.close();
    this.#log = undefined;
  }

  #put(lines: string[], isError: boolean): void {
    if (lines.length === 0) return;
    keep(this.#lastLines, lines, KEPT_LINES);
    if (isError) keep(this.#lastErrors, lines, KEPT_ERRORS);
    const text = (prefix: string) => lines.map((line) => `${prefix}${line}\n`).join("");
    if (this.#log) writeAllSync(this.#log, text(""));
    if (!this.#print) return;
    try {
      print(text(this.#options.prefix), isError);
    } catch {
      this.#print = false;
      this.#options.onBroken();
    }
  }
}

/** In a notebook only the console is seen. */
export const inNotebook: boolean = (() => {
  try {
    return Deno.jupyter !== undefined;
  } catch {
    return false;
  }
})();

function print(text: string, isError: boolean): void {
  if (!inNotebook) writeAllSync(isError ? Deno.stderr : Deno.stdout, text);
  else if (isError) console.error(text.trimEnd());
  else console.log(text.trimEnd());
}

function keep(kept: string[], lines: readonly string[], count: number): void {
  kept.push(...lines.slice(-count).map((line) => line.replace(COLOURS, "").replace(/\r$/, "")));
  kept.splice(0, kept.length - count);
}

function writeAllSync(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
