/** Questions on the error output, answers from the standard input, also when that is no terminal. */
import { readValue, type SettingName, settingOf, UsageError, type ValueOf } from "./settings.ts";

/** Asks line by line. */
export class Questions {
  readonly #lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  #rest = "";

  /**
   * Asks for a setting until the answer fits.
   *
   * @param fallback What an empty line means; empty: the setting is left out
   */
  async setting<N extends SettingName>(name: N, fallback: string): Promise<ValueOf<N> | undefined> {
    const { question } = settingOf(name);
    for (;;) {
      const text = await this.#ask(question ?? name, fallback);
      if (text === "") return undefined;
      try {
        return readValue(name, text, text);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        console.error(`  ${error.message}`);
      }
    }
  }

  /** Asks for yes or no. */
  async yesNo(question: string, fallback: boolean): Promise<boolean> {
    for (;;) {
      const text = (await this.#ask(question, fallback ? "yes" : "no")).toLowerCase();
      if (["y", "yes", "true"].includes(text)) return true;
      if (["n", "no", "false"].includes(text)) return false;
      console.error("  wanted yes or no");
    }
  }

  async #ask(question: string, fallback: string): Promise<string> {
    const shown = `${question}${fallback === "" ? "" : ` [${fallback}]`}: `;
    Deno.stderr.writeSync(new TextEncoder().encode(shown));
    const line = await this.#readLine();
    if (line === undefined) {
      console.error("");
      throw new UsageError(
        "Cannot go on: the answers ended; nothing was written (config default asks nothing)",
      );
    }
    return line.trim() || fallback;
  }

  async #readLine(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#lines.read();
      if (!done) {
        this.#rest += value;
        continue;
      }
      const line = this.#rest;
      this.#rest = "";
      return line === "" ? undefined : line;
    }
  }
}
