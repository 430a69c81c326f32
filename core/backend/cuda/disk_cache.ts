/** Compiled programs on disk: each image once, found by the hash of any text that is in it. */
import { env } from "../../env.ts";
import { log } from "../../debug.ts";

/** The folder: `PTA_CACHE`, else the user's cache folder; undefined when none may be used. */
function cacheFolder(): string | undefined {
  const asked = env("PTA_CACHE");
  if (asked === "off") return undefined;
  if (asked !== undefined) return asked;
  if (env("XDG_CACHE_HOME")) return `${env("XDG_CACHE_HOME")}/pta`;
  if (Deno.build.os === "windows") return env("LOCALAPPDATA") && `${env("LOCALAPPDATA")}/pta`;
  return env("HOME") && `${env("HOME")}/.cache/pta`;
}

// Loaded here rather than at import: it takes as long as the rest of the library together.
const sha256 = (data: string | Uint8Array): string =>
  process.getBuiltinModule("node:crypto").createHash("sha256").update(data).digest("hex");

const granted = (name: "read" | "write", path: string) =>
  Deno.permissions.querySync({ name, path }).state === "granted";

/**
 * A folder of images (`HASH.bin`) and, for each text in them, a file that names its image (`HASH.in`). Files are written beside and renamed, so that several processes may
 * share it. Whatever goes wrong with it only costs time.
 */
export class DiskCache {
  readonly #folder: string | undefined;

  /** @param folder Where; `PTA_CACHE` or the user's cache folder when absent */
  constructor(folder: string | undefined = cacheFolder()) {
    const usable = folder !== undefined && granted("read", folder) && granted("write", folder);
    this.#folder = usable ? `${folder}/cuda` : undefined;
  }

  /** Hash of a text. */
  key(text: string): string {
    return sha256(text).slice(0, 40);
  }

  /** Name of the image that a text is in. */
  homeOf(key: string): string | undefined {
    if (this.#folder === undefined) return undefined;
    try {
      return Deno.readTextFileSync(`${this.#folder}/${key}.in`);
    } catch {
      return undefined;
    }
  }

  /** An image by its name. */
  load(home: string): Uint8Array<ArrayBuffer> | undefined {
    try {
      return Deno.readFileSync(`${this.#folder}/${home}.bin`) as Uint8Array<ArrayBuffer>;
    } catch {
      return undefined;
    }
  }

  /** Keeps an image for the texts that are in it. */
  store(image: Uint8Array<ArrayBuffer>, keys: readonly string[]): void {
    if (this.#folder === undefined) return;
    try {
      Deno.mkdirSync(this.#folder, { recursive: true });
      const home = sha256(image).slice(0, 40);
      this.#write(`${home}.bin`, image);
      const name = new TextEncoder().encode(home);
      for (const key of keys) this.#write(`${key}.in`, name);
    } catch (error) {
      log(1, `compiled programs are not kept: ${(error as Error).message}`);
    }
  }

  #write(name: string, data: Uint8Array): void {
    const beside = `${this.#folder}/${name}.${Deno.pid}`;
    Deno.writeFileSync(beside, data);
    Deno.renameSync(beside, `${this.#folder}/${name}`);
  }
}
