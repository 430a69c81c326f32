/** Names of the element types. `bool` holds 0 or 1 in one byte; `bfloat16` is read and written as raw bits. */
export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int32"
  | "int64"
  | "uint8"
  | "bool";

/** Host arrays that hold elements of some {@linkcode DType}. */
export type HostArray =
  | Float32Array
  | Float64Array
  | Float16Array
  | Uint16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array;

/** What shared code may ask of a dtype. */
export interface DTypeFacts {
  /** Bytes of one element. */
  readonly bytes: number;
  /** `float`, `int` or `bool`; promotion between kinds follows PyTorch. */
  readonly kind: "float" | "int" | "bool";
  /** Position in the promotion order inside its kind. */
  readonly rank: number;
  /** Makes a zeroed host array of `length` elements, over `buffer` when given. */
  readonly array: (length: number, buffer?: ArrayBufferLike, byteOffset?: number) => HostArray;
}

// Every host array constructor takes either a length or (buffer, offset, length).
const maker = <T extends HostArray>(make: {
  new (length: number): T;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
}) =>
(length: number, buffer?: ArrayBufferLike, byteOffset = 0): HostArray =>
  buffer === undefined ? new make(length) : new make(buffer, byteOffset, length);

/** Facts of every dtype. */
export const dtypes: Readonly<Record<DType, DTypeFacts>> = {
  float32: { bytes: 4, kind: "float", rank: 3, array: maker(Float32Array) },
  float64: { bytes: 8, kind: "float", rank: 4, array: maker(Float64Array) },
  float16: { bytes: 2, kind: "float", rank: 1, array: maker(Float16Array) },
  bfloat16: { bytes: 2, kind: "float", rank: 2, array: maker(Uint16Array) },
  int32: { bytes: 4, kind: "int", rank: 2, array: maker(Int32Array) },
  int64: { bytes: 8, kind: "int", rank: 3, array: maker(BigInt64Array) },
  uint8: { bytes: 1, kind: "int", rank: 1, array: maker(Uint8Array) },
  bool: { bytes: 1, kind: "bool", rank: 0, array: maker(Uint8Array) },
};

const kindOrder = { bool: 0, int: 1, float: 2 } as const;

/** Whether `dtype` is a floating type. */
export function isFloat(dtype: DType): boolean {
  return dtypes[dtype].kind === "float";
}

/**
 * The dtype of `a op b` for two tensors with at least one dimension (PyTorch's promotion table):
 * the higher kind wins, then the wider type; float16 with bfloat16 gives float32.
 */
export function promote(a: DType, b: DType): DType {
  if (a === b) return a;
  const ka = kindOrder[dtypes[a].kind], kb = kindOrder[dtypes[b].kind];
  if (ka !== kb) return ka > kb ? a : b;
  const pair = `${a} ${b}`;
  if (pair === "float16 bfloat16" || pair === "bfloat16 float16") return "float32";
  return dtypes[a].rank >= dtypes[b].rank ? a : b;
}

const bits = new DataView(new ArrayBuffer(4));

/** Rounds to the nearest bfloat16 (ties to even) and returns its 16 bits. */
export function toBfloat16Bits(x: number): number {
  bits.setFloat32(0, x);
  const u = bits.getUint32(0);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((u + 0x7fff + ((u >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number whose bfloat16 bits are `half`. */
export function fromBfloat16Bits(half: number): number {
  bits.setUint32(0, (half << 16) >>> 0);
  return bits.getFloat32(0);
}

/** How a plain number is stored in a host array of the dtype, and read back. */
export interface HostCodec {
  /** From a number to the element as stored. */
  readonly encode: (x: number) => number | bigint;
  /** From the stored element to a number. */
  readonly decode: (x: number | bigint) => number;
}

const plain: HostCodec = { encode: (x) => x, decode: Number };
// JavaScript's typed arrays already truncate and wrap numbers the way C does.
const integer: HostCodec = { encode: Math.trunc, decode: Number };

/** Conversion between numbers and stored elements for every dtype. */
export const codecs: Readonly<Record<DType, HostCodec>> = {
  float32: plain,
  float64: plain,
  float16: plain,
  bfloat16: { encode: toBfloat16Bits, decode: (x) => fromBfloat16Bits(Number(x)) },
  int32: integer,
  int64: {
    encode: (x) => Number.isFinite(x) ? BigInt(Math.trunc(x)) : -9223372036854775808n,
    decode: Number,
  },
  uint8: integer,
  bool: { encode: (x) => x !== 0 ? 1 : 0, decode: Number },
};

/** Rounds `x` to what the dtype can hold, as a float64 number. */
export function roundTo(dtype: DType, x: number): number {
  return rounders[dtype](x);
}

const rounders: Readonly<Record<DType, (x: number) => number>> = {
  float32: Math.fround,
  float64: (x) => x,
  float16: Math.f16round,
  bfloat16: (x) => fromBfloat16Bits(toBfloat16Bits(x)),
  int32: (x) => Math.trunc(x) | 0,
  int64: (x) => Math.trunc(x),
  uint8: (x) => Math.trunc(x) & 255,
  bool: (x) => x !== 0 ? 1 : 0,
};
