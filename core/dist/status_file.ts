/** The file in which a rank tells its launcher what it is doing. */
import type { RankStatus } from "./rank.ts";

/** Writes the status of one rank, whole or not at all. A folder that cannot be written is given up silently. */
export class StatusFile {
  readonly #path: string;
  #usable: boolean;

  /**
   * @param dir Folder of the launch; `undefined` when nobody asks
   * @param rank Number of the rank, which names the file
   */
  constructor(dir: string | undefined, rank: number) {
    this.#usable = dir !== undefined;
    this.#path = `${dir}/rank_${rank}.json`;
  }

  /** Replaces the status. */
  write(status: RankStatus): void {
    if (!this.#usable) return;
    try {
      Deno.writeTextFileSync(`${this.#path}.new`, JSON.stringify(status));
      Deno.renameSync(`${this.#path}.new`, this.#path);
    } catch {
      this.#usable = false;
    }
  }
}
