/** The header of a safetensors file, checked. */
import { type DType, dtypes } from "../dtype.ts";

/** One tensor of a file. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes from the start of the values. */
  readonly start: number;
  readonly end: number;
}

/** A header that has been checked. */
export interface Header {
  /** In the order of their values. */
  readonly entries: readonly HeaderEntry[];
  readonly metadata: Record<string, string>;
  /** Where in the file the values start. */
  readonly dataStart: number;
}

/** Longest header that the format allows, in bytes. */
const maxHeader = 100_000_000;

const wrong = (why: string): SyntaxError =>
  new SyntaxError(`Cannot read the safetensors data: ${why}`);

const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === "object" && x !== null && !Array.isArray(x);
const isSize = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

/**
 * Reads and checks the header.
 *
 * @param bytes The file
 * @param formatNames Names of the dtypes in the format
 * @throws {SyntaxError} When anything is wrong with it
 * @throws {TypeError} When a tensor has a dtype that is not supported
 */
export function parseHeader(
  bytes: Uint8Array,
  formatNames: Readonly<Record<DType, string>>,
): Header {
  if (bytes.length < 8) throw wrong(`it has ${bytes.length} bytes, and must have at least 8`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(maxHeader)) {
    throw wrong(`its header has ${length} bytes, and at most ${maxHeader} are allowed`);
  }
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length) {
    throw wrong(`its header has ${length} bytes, and only ${bytes.length - 8} follow`);
  }
  const header = parseJson(bytes.subarray(8, dataStart));
  const { __metadata__: metadata = {}, ...named } = header;
  if (!isRecord(metadata) || Object.values(metadata).some((x) => typeof x !== "string")) {
    throw wrong("its __metadata__ is not an object of strings");
  }
  const supported = Object.keys(formatNames) as DType[];
  const entries = Object.entries(named).map(([name, entry]) => {
    const at = `"${name}"`;
    if (!isRecord(entry)) throw wrong(`the entry of ${at} is no object`);
    const { dtype: given, shape, data_offsets: offsets } = entry;
    if (typeof given !== "string") throw wrong(`the dtype of ${at} is missing`);
    if (!Array.isArray(shape) || !shape.every(isSize)) {
      throw wrong(`the shape of ${at} is ${JSON.stringify(shape)}, and must be an array of sizes`);
    }
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
      throw wrong(
        `the data_offsets of ${at} are ${JSON.stringify(offsets)}, and must be two positions`,
      );
    }
    const dtype = supported.find((d) => formatNames[d] === given);
    if (dtype === undefined) {
      throw new TypeError(
        `Cannot read the tensor ${at} of dtype ${given}: supported are ${
          Object.values(formatNames).join(", ")
        }`,
      );
    }
    const [start, end] = offsets as [number, number];
    const size = (shape as number[]).reduce((a, b) => a * b, 1) * dtypes[dtype].bytes;
    if (!isSize(size) || end - start !== size) {
      throw wrong(
        `${at} occupies ${end - start} bytes, and ${given} [${shape.join(", ")}] needs ${size}`,
      );
    }
    return { name, dtype, shape: shape as number[], start, end };
  });
  entries.sort((a, b) => a.start - b.start || a.end - b.end);
  let end = 0;
  for (const entry of entries) {
    if (entry.start !== end) {
      const fault = entry.start < end ? "overlaps what precedes it" : "leaves a gap before it";
      throw wrong(
        `"${entry.name}" starts at byte ${entry.start} of the values and ${fault}, which ends at ${end}`,
      );
    }
    end = entry.end;
  }
  if (dataStart + end !== bytes.length) {
    throw wrong(`its tensors need ${end} bytes, and ${bytes.length - dataStart} follow the header`);
  }
  return { entries, metadata: metadata as Record<string, string>, dataStart };
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw wrong("its header does not start with {");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw wrong("its header is not valid UTF-8");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw wrong(`its header is not valid JSON (${(error as Error).message})`);
  }
}
