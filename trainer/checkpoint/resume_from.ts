/** Which training state a run goes on from. */
import { TrainingStateError } from "./error.ts";
import { parentOf } from "./files.ts";
import { listStates } from "./folder.ts";
import { manifestName, readVerified, type StateFiles } from "./manifest.ts";

/**
 * Where to go on from. `latest`: the latest state in the folder that the run's `saveState` callback writes to, and a new run when there is none. A
 * path: a training state, or a folder of them, of which the latest is taken. An object says what happens when that one is damaged: `error`, the
 * default, or `previous`, which goes back to the latest that is whole.
 */
export type ResumeFrom = "latest" | string | {
  /** As a path above; the folder of `saveState`, as for `latest`, when left out. */
  readonly directory?: string;
  /** What to do when the state is damaged. */
  readonly fallback?: "error" | "previous";
};

/** Folder that is used when nobody says another. */
export const defaultFolder = "training_states";

/**
 * Finds the state to go on from and reads it.
 *
 * @param from What the user asked
 * @param folder Where `latest` looks
 * @param note Told what else has happened: that a damaged state was passed over, or that there is none
 * @returns `undefined` when the latest was asked and there is none
 * @throws {TrainingStateError} When it is missing, foreign or damaged; names the file
 */
export async function findState(
  from: ResumeFrom,
  folder: string,
  note: (line: string) => void,
): Promise<StateFiles | undefined> {
  const { directory, fallback = "error" } = typeof from !== "string"
    ? from
    : { directory: from === "latest" ? undefined : from };
  const path = directory ?? folder;
  const candidates = await statesAt(path);
  if (candidates.length === 0) {
    if (directory === undefined) {
      note(`There is no training state in "${folder}": a new run starts`);
      return undefined;
    }
    // What is there instead, in the words of the error.
    return await readVerified(path);
  }
  for (const [i, candidate] of candidates.entries()) {
    try {
      return await readVerified(candidate);
    } catch (error) {
      const isDamaged = error instanceof TrainingStateError && error.fault !== "missing";
      const next = candidates[i + 1];
      if (!isDamaged || fallback !== "previous" || next === undefined) throw error;
      note(`${error.message}. Trying the one before, "${next}"`);
    }
  }
}

/** The states that a path means, latest first. */
async function statesAt(path: string): Promise<string[]> {
  const inside = (await listStates(path)).map((s) => s.path).reverse();
  if (inside.length > 0) return inside;
  // A state of a folder: the ones before it are those with lower numbers.
  const parent = parentOf(path), name = path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1);
  const siblings = await listStates(parent);
  const at = siblings.findIndex((s) => s.path === `${parent}/${name}`);
  if (at >= 0) return [path, ...siblings.slice(0, at).map((s) => s.path).reverse()];
  const hasManifest = await Deno.stat(`${path}/${manifestName}`).then(() => true, () => false);
  return hasManifest ? [path] : [];
}
