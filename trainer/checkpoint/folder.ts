/** A folder of training states: their names, the latest, and which of them may go. */
import { isAbsent, removeDirectory } from "./files.ts";
import { checkSizes, type Manifest, readManifest } from "./manifest.ts";

/** One state of a folder. */
export interface SavedState {
  /** Path of the directory. */
  readonly path: string;
  /** Counts the saves into the folder, from 1; the latest state has the highest, whatever its step. */
  readonly number: number;
}

// `state_000012_step_3400`: the twelfth save, after 3,400 optimizer steps.
const pattern = /^state_(\d{6,})_step_\d+$/;

/**
 * The states of a folder, oldest first. Other things in it are not looked at.
 *
 * @returns Nothing when there is no such folder
 */
export async function listStates(folder: string): Promise<SavedState[]> {
  const states: SavedState[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      const match = isDirectory ? pattern.exec(name) : null;
      if (match !== null) states.push({ path: `${folder}/${name}`, number: Number(match[1]) });
    }
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
  return states.sort((a, b) => a.number - b.number);
}

/** The path of the next state of a folder. */
export async function nextStatePath(folder: string, numUpdates: number): Promise<string> {
  const last = (await listStates(folder)).at(-1)?.number ?? 0;
  return `${folder}/state_${`${last + 1}`.padStart(6, "0")}_step_${numUpdates}`;
}

/** Which states a folder keeps. */
export interface Retention {
  /** How many of the latest. */
  readonly keepLast: number;
  /** Whether a value of the watched metric is better than another; the state with the best one stays. */
  readonly isBetter: ((a: number, b: number) => boolean) | undefined;
}

/**
 * Removes the oldest states. The best one by the watched metric stays, and so does whatever is damaged: it does not count among the latest, so that a
 * good state is never removed in favour of it, and a person may want to look.
 *
 * @returns The paths removed
 */
export async function removeOldStates(folder: string, retention: Retention): Promise<string[]> {
  const { keepLast, isBetter } = retention;
  const good: { path: string; manifest: Manifest }[] = [];
  for (const { path } of await listStates(folder)) {
    try {
      const manifest = await readManifest(path);
      await checkSizes(path, manifest);
      good.push({ path, manifest });
    } catch {
      // Not whole, so it neither counts nor goes.
    }
  }
  let best: { path: string; value: number } | undefined;
  for (const { path, manifest: { metric } } of isBetter === undefined ? [] : good) {
    if (metric === undefined || Number.isNaN(metric.value)) continue;
    if (best === undefined || isBetter!(metric.value, best.value)) {
      best = { path, value: metric.value };
    }
  }
  const removed = good.slice(0, -keepLast).map((s) => s.path).filter((path) => path !== best?.path);
  for (const path of removed) await removeDirectory(path);
  return removed;
}
