/** Directories that are there whole or not at all. */
import { type Saveable, saveSafetensors } from "@pta/core";

/** What a file of a training state is written from. */
export type FileContent = string | Uint8Array | Readonly<Record<string, Saveable>>;

/** Size and hash of a file. */
export interface FileFacts {
  /** Size. */
  readonly bytes: number;
  /** SHA-256, in hexadecimal. */
  readonly sha256: string;
}

/** Names of directories that are being written, or were when their process died. */
export const unfinishedPrefix = ".saving-";

interface Hash {
  update(data: Uint8Array | string): Hash;
  digest(encoding: "hex"): string;
}

// Loaded here rather than at import, because loading takes longer than everything else that an import does.
const newHash = (): Hash => process.getBuiltinModule("node:crypto").createHash("sha256");

/** SHA-256 of bytes or of a text, in hexadecimal. */
export function sha256(data: Uint8Array | string): string {
  return newHash().update(data).digest("hex");
}

async function factsOf(path: string): Promise<FileFacts> {
  using file = await Deno.open(path, { read: true });
  const hash = newHash(), chunk = new Uint8Array(2 ** 20);
  let bytes = 0;
  for (let n; (n = await file.read(chunk)) !== null; bytes += n) hash.update(chunk.subarray(0, n));
  return { bytes, sha256: hash.digest("hex") };
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open a directory; its renames are in the journal.
  if (Deno.build.os === "windows") return;
  using directory = await Deno.open(path, { read: true });
  await directory.sync();
}

async function writeSynced(path: string, content: string | Uint8Array): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  using file = await Deno.open(path, { write: true, createNew: true });
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
}

/**
 * Writes a directory beside its place, syncs it and renames it, so that it is there with everything in it or not at all, whenever the process or
 * the machine stops.
 *
 * @param path Where; nothing may be there yet
 * @param files Contents by name, written in this order
 * @param last Name and content of one more file, made of the facts of all others
 * @throws {Error} When it cannot be written; nothing is left behind then
 */
export async function writeDirectory(
  path: string,
  files: Readonly<Record<string, FileContent>>,
  last: readonly [name: string, content: (facts: Readonly<Record<string, FileFacts>>) => string],
): Promise<void> {
  const parent = parentOf(path);
  const beside = `${parent}/${unfinishedPrefix}${crypto.randomUUID()}`;
  try {
    await Deno.mkdir(parent, { recursive: true });
    await Deno.mkdir(beside);
    const facts: Record<string, FileFacts> = {};
    for (const [name, content] of Object.entries(files)) {
      const target = `${beside}/${name}`;
      if (typeof content === "string" || content instanceof Uint8Array) {
        await writeSynced(target, content);
      } else await saveSafetensors(content as Readonly<Record<string, Saveable>>, target);
      facts[name] = await factsOf(target);
    }
    await writeSynced(`${beside}/${last[0]}`, last[1](facts));
    await syncDirectory(beside);
    await Deno.rename(beside, path);
    await syncDirectory(parent);
  } catch (error) {
    await Deno.remove(beside, { recursive: true }).catch(() => {});
    throw error;
  }
}

/** The directory that a path is in. */
export function parentOf(path: string): string {
  const trimmed = path.replace(/[/\\]+$/, "");
  const cut = Math.max(trimmed.lastIndexOf("/"), trimmed.lastIndexOf("\\"));
  return cut < 0 ? "." : cut === 0 ? "/" : trimmed.slice(0, cut);
}

/** Removes a directory so that it is gone whole, whenever the process stops; one that is gone already is no error. */
export async function removeDirectory(path: string): Promise<void> {
  const aside = `${parentOf(path)}/${unfinishedPrefix}${crypto.randomUUID()}`;
  try {
    await Deno.rename(path, aside);
    await Deno.remove(aside, { recursive: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw new Error(`Cannot remove "${path}": ${(error as Error).message}`, { cause: error });
  }
}

/** Whether an error says that there is no such directory. */
export const isAbsent = (error: unknown): boolean =>
  error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;

/** Removes what processes that died have left half written. */
export async function removeUnfinished(parent: string): Promise<void> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(parent)) {
      if (entry.isDirectory && entry.name.startsWith(unfinishedPrefix)) names.push(entry.name);
    }
  } catch (error) {
    if (isAbsent(error)) return;
    throw error;
  }
  for (const name of names) await Deno.remove(`${parent}/${name}`, { recursive: true });
}
