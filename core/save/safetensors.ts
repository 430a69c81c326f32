/**
 * The safetensors format: eight bytes with the length of a JSON header, the header, the values. Files are byte for byte those that the
 * reference implementation writes for the same tensors (it leaves the order of metadata to chance). https://huggingface.co/docs/safetensors
 */
import { type DType, dtypes } from "../dtype.ts";
import { HostField } from "../data/host_field.ts";
import { Tensor } from "../tensor/mod.ts";
import { parseHeader } from "./header.ts";

/** What can be saved under a name. */
export type Saveable = Tensor | HostField;

/** Options of {@linkcode save} and {@linkcode saveFile}. */
export interface SaveOptions {
  /** Texts that are stored beside the tensors. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Tensors on the host with their metadata. */
export interface HostState {
  /** By name, in the order of the file. */
  readonly tensors: Record<string, HostField>;
  /** Texts stored beside them. */
  readonly metadata: Record<string, string>;
}

/** Names of the dtypes in the format. */
export const formatNames: Readonly<Record<DType, string>> = {
  float32: "F32",
  float64: "F64",
  float16: "F16",
  bfloat16: "BF16",
  int32: "I32",
  int64: "I64",
  uint8: "U8",
  bool: "BOOL",
};

const metadataKey = "__metadata__";

/** The file as pieces: the header, then the values of one tensor each. */
function* pieces(
  tensors: Readonly<Record<string, Saveable>>,
  options: SaveOptions,
): Generator<Uint8Array> {
  const names = Object.keys(tensors);
  // Wide dtypes first keeps every value aligned; names in the order of their bytes.
  const order = names.sort((a, b) =>
    alignmentRank(tensors[b].dtype) - alignmentRank(tensors[a].dtype) || compareBytes(a, b)
  );
  const header: Record<string, unknown> = {};
  const metadata = Object.entries(options.metadata ?? {});
  for (const [key, text] of metadata) {
    if (typeof text !== "string") {
      throw new TypeError(
        `Cannot save the metadata "${key}": it is ${typeof text}, and must be a string`,
      );
    }
  }
  if (metadata.length > 0) {
    header[metadataKey] = Object.fromEntries(metadata.sort(([a], [b]) => compareBytes(a, b)));
  }
  let end = 0;
  for (const name of order) {
    if (name === metadataKey) {
      throw new TypeError(`Cannot save a tensor under the name ${metadataKey}`);
    }
    const { dtype, shape } = tensors[name], start = end;
    end += shape.reduce((a, b) => a * b, 1) * dtypes[dtype].bytes;
    header[name] = { dtype: formatNames[dtype], shape: [...shape], data_offsets: [start, end] };
  }
  const text = new TextEncoder().encode(jsonInOrder(header, order));
  const head = new Uint8Array(8 + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(text, 8);
  yield head;
  for (const name of order) {
    const source = tensors[name];
    const data = source instanceof Tensor ? source.data() : source.data;
    yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

/** `JSON.stringify` would put names that look like numbers first. */
function jsonInOrder(header: Readonly<Record<string, unknown>>, order: readonly string[]): string {
  const keys = Object.hasOwn(header, metadataKey) ? [metadataKey, ...order] : order;
  return `{${
    keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(header[key])}`).join(",")
  }}`;
}

// The reference sorts by its own list of dtypes, narrow to wide, in reverse.
const formatOrder = ["BOOL", "U8", "F16", "BF16", "I32", "F32", "F64", "I64"];

function alignmentRank(dtype: DType): number {
  return formatOrder.indexOf(formatNames[dtype]);
}

const encoder = new TextEncoder();

function compareBytes(a: string, b: string): number {
  const x = encoder.encode(a), y = encoder.encode(b), n = Math.min(x.length, y.length);
  for (let i = 0; i < n; i++) if (x[i] !== y[i]) return x[i] - y[i];
  return x.length - y.length;
}

/**
 * The tensors as the bytes of a safetensors file. The same tensors give the same bytes, whatever their order.
 *
 * @param tensors By name
 * @param options Metadata
 * @throws {TypeError} When a metadata value is no string, or a name is reserved
 */
export function save(
  tensors: Readonly<Record<string, Saveable>>,
  options: SaveOptions = {},
): Uint8Array {
  const all = [...pieces(tensors, options)];
  const out = new Uint8Array(all.reduce((n, piece) => n + piece.length, 0));
  let at = 0;
  for (const piece of all) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/**
 * Reads the bytes of a safetensors file into host arrays.
 *
 * @throws {SyntaxError} When the bytes are no valid safetensors file; says where
 * @throws {TypeError} When a tensor has a dtype that is not supported
 */
export function loadHost(bytes: Uint8Array): HostState {
  const { entries, metadata, dataStart } = parseHeader(bytes, formatNames);
  // Entries, because a tensor may be named `__proto__`.
  const tensors = entries.map(({ name, dtype, shape, start, end }): [string, HostField] => {
    // A copy, because values need not be aligned in the file.
    const own = bytes.slice(dataStart + start, dataStart + end);
    const data = dtypes[dtype].array((end - start) / dtypes[dtype].bytes, own.buffer);
    if (dtype === "bool") own.forEach((x, i) => own[i] = Number(x !== 0));
    return [name, new HostField(data, shape, dtype)];
  });
  return { tensors: Object.fromEntries(tensors), metadata };
}

/**
 * Reads the bytes of a safetensors file into tensors.
 *
 * @param bytes The file
 * @param options `device`: the default one when left out
 * @throws {SyntaxError} When the bytes are no valid safetensors file; says where
 * @throws {TypeError} When a tensor has a dtype that is not supported
 */
export function load(bytes: Uint8Array, options: { device?: string } = {}): Record<string, Tensor> {
  const { tensors } = loadHost(bytes);
  return Object.fromEntries(
    Object.entries(tensors).map(([name, f]) => [name, f.toTensor(options.device)]),
  );
}

/**
 * Writes tensors to a file. It is written beside, synced and renamed, so that the path never holds half a file.
 *
 * @param tensors By name
 * @param path Where to; an existing file is replaced
 * @param options Metadata
 */
export async function saveFile(
  tensors: Readonly<Record<string, Saveable>>,
  path: string | URL,
  options: SaveOptions = {},
): Promise<void> {
  const target = path instanceof URL ? path.href : path;
  const beside = path instanceof URL
    ? new URL(`${target}.${crypto.randomUUID()}.tmp`)
    : `${target}.${crypto.randomUUID()}.tmp`;
  try {
    {
      using file = await Deno.open(beside, { write: true, createNew: true });
      for (const piece of pieces(tensors, options)) await writeAll(file, piece);
      await file.syncData();
    }
    await Deno.rename(beside, path);
  } catch (error) {
    await Deno.remove(beside).catch(() => {});
    throw error;
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/**
 * Reads a file into tensors.
 *
 * @param path The file
 * @param options `device`: the default one when left out
 * @throws {SyntaxError} When it is no valid safetensors file; says where
 * @throws {TypeError} When a tensor has a dtype that is not supported
 */
export async function loadFile(
  path: string | URL,
  options: { device?: string } = {},
): Promise<Record<string, Tensor>> {
  return load(await Deno.readFile(path), options);
}
