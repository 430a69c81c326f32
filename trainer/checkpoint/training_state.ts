/**
 * Training states on disk:
 *
 * ```text
 * model.safetensors      the model's state dict under PyTorch's keys, usable by itself
 * optimizer.safetensors  tensors of the optimizer: state.0.exp_avg, ...
 * state.json             everything else: position, generators, scheduler, history, callbacks, objects
 * objects.safetensors    tensors of what is in state.json, under their paths there
 * rank_001.json          what rank 1 has otherwise than rank 0, and rank_001.safetensors its tensors
 * manifest.json          sizes and SHA-256 of all these
 * ```
 */
import { type Comm, type HostField, safetensors, type Saveable, Tensor } from "@pta/core";
import { TrainingStateError } from "./error.ts";
import { bytesOfRoot, gatherBytes, together } from "./exchange.ts";
import { type FileContent, sha256, writeDirectory } from "./files.ts";
import {
  type Manifest,
  manifestName,
  manifestText,
  type StateFacts,
  type StateFiles,
} from "./manifest.ts";
import { packState, unpackState } from "./state_tree.ts";

/** What a training state is made of. */
export interface StateContent {
  /** Tensors under PyTorch's keys. Rank 0 writes all of its own, the others those that differ, such as running means of a batch norm. */
  readonly model: Readonly<Record<string, Saveable>>;
  /** The optimizer's state dict; that of rank 0, and of others where it differs. */
  readonly optimizer: unknown;
  /** Everything else by name. A rank's own are written where they differ from those of rank 0. */
  readonly sections: Readonly<Record<string, unknown>>;
}

const modelFile = "model.safetensors", optimizerFile = "optimizer.safetensors";
const stateFile = "state.json", objectsFile = "objects.safetensors";
/** Sections of a rank whose model has tensors otherwise than that of rank 0 (those), and of one whose optimizer differs (all of it). */
export const ownModel = "ownModel", ownOptimizer = "ownOptimizer";
const rankName = (rank: number) => `rank_${`${rank}`.padStart(3, "0")}`;

const encoder = new TextEncoder(), decoder = new TextDecoder();

/** Sections in JSON, and the tensors in them. */
interface PackedSections {
  readonly json: Record<string, unknown>;
  readonly tensors: Record<string, Saveable>;
  /** By section: a hash of everything in it. */
  readonly hashes: Record<string, string>;
}

function packSections(sections: Readonly<Record<string, unknown>>): PackedSections {
  const json: Record<string, unknown> = {}, hashes: Record<string, string> = {};
  const tensors: Record<string, Saveable> = {};
  for (const [name, section] of Object.entries(sections)) {
    const before = new Set(Object.keys(tensors));
    json[name] = packState(section, name, tensors).json;
    const own = Object.keys(tensors).filter((key) => !before.has(key));
    hashes[name] = sha256(
      [JSON.stringify(json[name]), ...own.map((key) => `${key} ${hashOf(tensors[key])}`)].join(),
    );
  }
  return { json, tensors, hashes };
}

function hashOf(source: Saveable): string {
  const data = source instanceof Tensor ? source.data() : source.data;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return `${source.dtype} ${source.shape} ${sha256(bytes)}`;
}

/** What a rank has otherwise than rank 0, as JSON and the bytes of the tensors in it, if any. */
function packOwn(
  sections: Readonly<Record<string, unknown>>,
): readonly [json: string, tensors: Uint8Array] {
  const { json, tensors } = packSections(sections);
  const hasTensors = Object.keys(tensors).length > 0;
  return [
    `${JSON.stringify(json, null, 1)}\n`,
    hasTensors ? safetensors.save(tensors) : new Uint8Array(),
  ];
}

/**
 * Writes a state. All ranks must call it; rank 0 alone touches the disk, and has what the others have sent. When any of them fails, all throw and
 * nothing is left behind.
 *
 * @param path The directory to make, as rank 0 gives it
 * @param content What this rank has
 * @param facts For the manifest, as rank 0 gives them
 * @param comm The other ranks
 * @throws {TypeError} When a section holds what cannot be saved; names the path
 * @throws {Error} When it cannot be written
 */
export async function writeState(
  path: () => string | Promise<string>,
  content: StateContent,
  facts: StateFacts,
  comm: Comm | undefined,
): Promise<string> {
  const packed = await together(() => packSections(content.sections), comm);
  const rankFiles = await exchangeRanks(content, packed.hashes, comm);
  const written = await together(async () => {
    if (comm !== undefined && comm.rank !== 0) return "";
    const target = await path();
    const optimizer = packState(content.optimizer, "", {}, { once: false });
    const state = { optimizer: optimizer.json, sections: packed.json };
    const files: Record<string, FileContent> = {
      [modelFile]: content.model,
      [optimizerFile]: optimizer.tensors,
      [objectsFile]: packed.tensors,
      [stateFile]: `${JSON.stringify(state, null, 1)}\n`,
      ...rankFiles,
    };
    try {
      await writeDirectory(target, files, [manifestName, (all) => manifestText(facts, all)]);
    } catch (error) {
      throw new Error(
        `Cannot save the training state "${target}": ${(error as Error).message}`,
        { cause: error },
      );
    }
    return target;
  }, comm);
  return decoder.decode(bytesOfRoot(encoder.encode(written), comm));
}

/** The files of the other ranks: what they have otherwise than rank 0. */
async function exchangeRanks(
  content: StateContent,
  sectionHashes: Readonly<Record<string, string>>,
  comm: Comm | undefined,
): Promise<Record<string, Uint8Array>> {
  if (comm === undefined) return {};
  const hashes = {
    sections: sectionHashes,
    model: Object.fromEntries(Object.entries(content.model).map(([key, t]) => [key, hashOf(t)])),
    optimizer: packSections({ optimizer: content.optimizer }).hashes,
  };
  const root: typeof hashes = JSON.parse(
    decoder.decode(bytesOfRoot(encoder.encode(JSON.stringify(hashes)), comm)),
  );
  const [json, tensors] = await together(() => {
    if (comm.rank === 0) return ["", new Uint8Array()] as const;
    const sections = others(content.sections, hashes.sections, root.sections);
    const model = others(content.model, hashes.model, root.model);
    const isOther = hashes.optimizer.optimizer !== root.optimizer.optimizer;
    return packOwn({
      ...sections,
      ...(Object.keys(model).length > 0 ? { [ownModel]: model } : {}),
      ...(isOther ? { [ownOptimizer]: content.optimizer } : {}),
    });
  }, comm);
  const texts = gatherBytes(encoder.encode(json), comm), all = gatherBytes(tensors, comm);
  const files: Record<string, Uint8Array> = {};
  for (let rank = 1; rank < comm.worldSize; rank++) {
    files[`${rankName(rank)}.json`] = texts[rank];
    if (all[rank].length > 0) files[`${rankName(rank)}.safetensors`] = all[rank];
  }
  return files;
}

/** The parts whose hashes are not those of rank 0. */
const others = <T>(
  parts: Readonly<Record<string, T>>,
  hashes: Readonly<Record<string, string>>,
  rootHashes: Readonly<Record<string, string>>,
): Record<string, T> =>
  Object.fromEntries(
    Object.entries(parts).filter(([name]) => hashes[name] !== rootHashes[name]),
  );

/** A state that has been read and found whole. */
export interface LoadedState {
  /** The directory it is from. */
  readonly directory: string;
  /** What it says of itself. */
  readonly manifest: Manifest;
  /** The model's tensors. */
  readonly model: Readonly<Record<string, HostField>>;
  /**
   * The optimizer's state dict.
   *
   * @param device Where its tensors go
   */
  optimizer(device?: string): unknown;
  /**
   * The sections of a rank of the run that saved it.
   *
   * @param rank A rank below the world size of the manifest
   * @param device Where their tensors go
   */
  sections(rank: number, device?: string): Record<string, unknown>;
}

/**
 * Reads a state on rank 0 and gives it to the other ranks, so that all go on from the same one and only rank 0 needs the disk. All ranks must call it.
 *
 * @param find Called on rank 0: the state to load, or `undefined` when there is none
 * @param comm The other ranks
 * @throws {TrainingStateError} When it is missing, foreign or damaged; names the file
 */
export async function readState(
  find: () => Promise<StateFiles | undefined>,
  comm: Comm | undefined,
): Promise<LoadedState | undefined> {
  const found = await together(
    () => comm === undefined || comm.rank === 0 ? find() : undefined,
    comm,
  );
  const head = found && { directory: found.directory, manifest: found.manifest };
  const text = head === undefined ? "" : JSON.stringify(head);
  const shared = decoder.decode(bytesOfRoot(encoder.encode(text), comm));
  if (shared === "") return undefined;
  const { directory, manifest } = JSON.parse(shared) as Omit<StateFiles, "files">;
  const files: Record<string, Uint8Array> = {};
  for (const name of Object.keys(manifest.files)) {
    files[name] = bytesOfRoot(found?.files[name], comm);
  }
  return parseState(directory, manifest, files);
}

function parseState(
  directory: string,
  manifest: Manifest,
  files: Readonly<Record<string, Uint8Array>>,
): LoadedState {
  const parse = <T>(name: string, read: (bytes: Uint8Array) => T): T => {
    if (files[name] === undefined) {
      throw new TrainingStateError(directory, "damaged", `${name} is missing`);
    }
    try {
      return read(files[name]);
    } catch (error) {
      throw new TrainingStateError(
        directory,
        "damaged",
        `${name} is damaged: ${(error as Error).message}`,
        { cause: error },
      );
    }
  };
  const tensorsOf = (name: string) => parse(name, (bytes) => safetensors.loadHost(bytes).tensors);
  const jsonOf = (name: string) => parse(name, (bytes) => JSON.parse(decoder.decode(bytes)));
  const state = jsonOf(stateFile);
  const sectionsIn = (jsonFile: string, tensorsFile: string, json: unknown, device?: string) =>
    parse(jsonFile, () => {
      const tensors = files[tensorsFile] === undefined ? {} : tensorsOf(tensorsFile);
      return unpackState(json, tensors, device) as Record<string, unknown>;
    });
  return {
    directory,
    manifest,
    model: tensorsOf(modelFile),
    optimizer: (device) =>
      parse(stateFile, () => unpackState(state.optimizer, tensorsOf(optimizerFile), device)),
    sections: (rank, device) => {
      const root = sectionsIn(stateFile, objectsFile, state.sections, device);
      if (rank === 0) return root;
      const name = rankName(rank);
      const own = jsonOf(`${name}.json`);
      return { ...root, ...sectionsIn(`${name}.json`, `${name}.safetensors`, own, device) };
    },
  };
}
