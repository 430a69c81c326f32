/** The manifest of a training state: what it is, and the size and hash of each file. */
import { decodeNumber, encodeNumber, type StoredNumber } from "../history/state.ts";
import { TrainingStateError } from "./error.ts";
import { type FileFacts, isAbsent, sha256 } from "./files.ts";

/** Name of the manifest, which is written last. */
export const manifestName = "manifest.json";

/** Says that a manifest is one of ours. */
const format = "pta-training-state";

/** Version of the layout that this release writes, and the newest that it reads. */
export const stateVersion = 1;

/** Value of the metric by which states are compared. */
export interface WatchedValue {
  /** Name of the metric. */
  readonly name: string;
  /** Its value when the state was saved. */
  readonly value: number;
}

/** What a state says of itself. */
export interface StateFacts {
  /** Epochs that were over. */
  readonly epoch: number;
  /** Micro-batches of the epoch under way that were over. */
  readonly stepInEpoch: number;
  /** Optimizer steps of the run. */
  readonly numUpdates: number;
  /** Ranks that trained. */
  readonly worldSize: number;
  /** When it was saved, in ISO 8601. */
  readonly savedAt: string;
  /** The watched metric, when there was one. */
  readonly metric: WatchedValue | undefined;
}

/** A manifest that has been read. */
export interface Manifest extends StateFacts {
  /** Facts of every other file. */
  readonly files: Readonly<Record<string, FileFacts>>;
}

/** The text of a manifest. */
export function manifestText(
  facts: StateFacts,
  files: Readonly<Record<string, FileFacts>>,
): string {
  const metric = facts.metric &&
    { name: facts.metric.name, value: encodeNumber(facts.metric.value) };
  const content = { format, version: stateVersion, ...facts, metric, files };
  return `${JSON.stringify({ ...content, sha256: hashOf(content) }, null, 2)}\n`;
}

const hashOf = (content: object): string => sha256(JSON.stringify(content));

/**
 * Reads the manifest of a directory.
 *
 * @throws {TrainingStateError} When there is none, it is foreign, newer or damaged
 */
export async function readManifest(directory: string): Promise<Manifest> {
  let text: string;
  try {
    text = await Deno.readTextFile(`${directory}/${manifestName}`);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    throw await withoutManifest(directory);
  }
  return parseManifest(directory, text);
}

async function withoutManifest(directory: string): Promise<TrainingStateError> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(directory)) names.push(name);
  } catch {
    return new TrainingStateError(directory, "missing", "there is no such directory");
  }
  const held = names.length === 0 ? "it is empty" : `it holds ${names.sort().join(", ")}`;
  return new TrainingStateError(
    directory,
    "foreign",
    `it has no ${manifestName}, so it is not one or not whole; ${held}`,
  );
}

function parseManifest(directory: string, text: string): Manifest {
  const damaged = (reason: string) =>
    new TrainingStateError(directory, "damaged", `${manifestName} ${reason}`);
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw damaged(`is damaged: ${(error as Error).message}`);
  }
  if (parsed?.format !== format) {
    throw new TrainingStateError(
      directory,
      "foreign",
      `${manifestName} says format ${JSON.stringify(parsed?.format)}, and it must be "${format}"`,
    );
  }
  if (parsed.version !== stateVersion) {
    throw new TrainingStateError(
      directory,
      "foreign",
      `${manifestName} says version ${parsed.version}, and this release reads version ${stateVersion}`,
    );
  }
  const { sha256: given, ...content } = parsed;
  if (given !== hashOf(content)) throw damaged("is damaged: its own SHA-256 does not fit");
  const metric = content.metric as { name: string; value: StoredNumber } | undefined;
  return {
    ...content as unknown as Manifest,
    metric: metric && { name: metric.name, value: decodeNumber(metric.value) },
  };
}

/** A state as it lies on the disk, found whole. */
export interface StateFiles {
  /** Where. */
  readonly directory: string;
  /** What it says of itself. */
  readonly manifest: Manifest;
  /** The bytes of every file but the manifest. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/**
 * Reads every file of a state and checks it against the manifest.
 *
 * @throws {TrainingStateError} When there is no state, it is foreign, or a file is missing, cut short or changed; names it
 */
export async function readVerified(directory: string): Promise<StateFiles> {
  const manifest = await readManifest(directory);
  const read: Record<string, Uint8Array> = {};
  for (const [name, facts] of Object.entries(manifest.files)) {
    const bytes = await Deno.readFile(`${directory}/${name}`).catch((error) => {
      if (!isAbsent(error)) throw error;
      throw new TrainingStateError(directory, "damaged", `${name} is missing`);
    });
    if (bytes.length !== facts.bytes) throw wrongSize(directory, name, bytes.length, facts.bytes);
    if (sha256(bytes) !== facts.sha256) {
      throw new TrainingStateError(
        directory,
        "damaged",
        `${name} is damaged: its SHA-256 is not the one in ${manifestName}`,
      );
    }
    read[name] = bytes;
  }
  return { directory, manifest, files: read };
}

const wrongSize = (directory: string, name: string, found: number, wanted: number) =>
  new TrainingStateError(
    directory,
    "damaged",
    `${name} has ${found} bytes, and ${manifestName} says ${wanted}`,
  );

/**
 * Checks that every file is there with its size, without reading them.
 *
 * @throws {TrainingStateError} When one is missing or has another size
 */
export async function checkSizes(directory: string, manifest: Manifest): Promise<void> {
  for (const [name, { bytes }] of Object.entries(manifest.files)) {
    const found = await Deno.stat(`${directory}/${name}`).catch(() => undefined);
    if (found === undefined) {
      throw new TrainingStateError(directory, "damaged", `${name} is missing`);
    }
    if (found.size !== bytes) throw wrongSize(directory, name, found.size, bytes);
  }
}
