/** The output of the ranks: whole lines, each with the name of its rank, never one inside another. */

/** Lines of a rank's error output that are kept for the report. */
const KEPT_LINES = 20;
const MAX_LINE = 1 << 16;

/** Where the lines of one rank go. */
export class RankOutput {
  /** The last lines of the error output. */
  readonly lastErrors: string[] = [];
  #prefix: string;
  #log: Deno.FsFile | undefined;
  #print: boolean;
  #onBroken: () => void;

  /**
   * @param onBroken Called when the launcher's own output is closed
   */
  constructor(
    rank: number,
    { prefix, print, logDir, onBroken }: {
      prefix: boolean;
      print: boolean;
      logDir: string | undefined;
      onBroken: () => void;
    },
  ) {
    this.#prefix = prefix ? `[rank ${rank}] ` : "";
    this.#print = print;
    this.#onBroken = onBroken;
    if (logDir !== undefined) {
      this.#log = Deno.createSync(`${logDir}/rank_${rank}.log`);
    }
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
    if (isError) {
      this.lastErrors.push(...lines);
      this.lastErrors.splice(0, this.lastErrors.length - KEPT_LINES);
    }
    const text = (prefix: string) => lines.map((line) => `${prefix}${line}\n`).join("");
    if (this.#log) writeAllSync(this.#log, text(""));
    if (!this.#print) return;
    try {
      writeAllSync(isError ? Deno.stderr : Deno.stdout, text(this.#prefix));
    } catch {
      this.#print = false;
      this.#onBroken();
    }
  }
}

function writeAllSync(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}
