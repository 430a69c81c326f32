/** Eight-bit floats as bytes: what defines the formats, and how a matrix of them lies in memory. Knows no tensor. */

/** `e4m3` has 3 bits of mantissa and ends at 448, `e5m2` has 2 and ends at 57344. */
export type Float8Format = "e4m3" | "e5m2";

/** What defines a format. */
export interface Float8Facts {
  /** Bits of the mantissa. */
  readonly mantissa: number;
  /** Exponent of the smallest normal number. */
  readonly minExponent: number;
  /** Exponent of the largest number. */
  readonly maxExponent: number;
  /** The largest number. */
  readonly max: number;
}

/** Facts of the formats (Micikevicius et al., "FP8 formats for deep learning", arXiv:2209.05433). */
export const float8Formats: Readonly<Record<Float8Format, Float8Facts>> = {
  e4m3: { mantissa: 3, minExponent: -6, maxExponent: 8, max: 448 },
  e5m2: { mantissa: 2, minExponent: -14, maxExponent: 15, max: 57344 },
};

const NAN = 0x7f;

/** To the nearest whole number, halves to the even one. */
function roundEven(x: number): number {
  const low = Math.floor(x), rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/**
 * The byte of the nearest number of a format, ties to even; beyond the largest number it is that one. NaN is 0x7f.
 *
 * @param x Any number
 * @param format Which format
 */
export function encodeFloat8(x: number, format: Float8Format): number {
  if (Number.isNaN(x)) return NAN;
  const { mantissa, minExponent, max } = float8Formats[format];
  const sign = x < 0 || Object.is(x, -0) ? 0x80 : 0, size = Math.min(Math.abs(x), max);
  // Numbers below the smallest normal one share its spacing, so their code is their multiple of it.
  let exponent = minExponent;
  while (size >= 2 ** (exponent + 1)) exponent++;
  const steps = roundEven(size / 2 ** (exponent - mantissa));
  return sign | (((exponent - minExponent) << mantissa) + steps);
}

/**
 * The number that a byte stands for.
 *
 * @param byte 0 to 255
 * @param format Which format
 */
export function decodeFloat8(byte: number, format: Float8Format): number {
  const { mantissa, minExponent, maxExponent, max } = float8Formats[format];
  const code = byte & 0x7f, field = code >> mantissa, steps = code & ((1 << mantissa) - 1);
  const size = field === 0
    ? steps * 2 ** (minExponent - mantissa)
    : (2 ** mantissa + steps) * 2 ** (minExponent + field - 1 - mantissa);
  // E5M2 has an infinity; both have NaN after their last number.
  const beyond = field - 1 + minExponent > maxExponent && steps === 0 ? Infinity : NaN;
  return (byte & 0x80 ? -1 : 1) * (size <= max ? size : beyond);
}

/** The next multiple of 16, as tensor cores want the rows of eight-bit matrices. */
export const padded16 = (n: number): number => Math.ceil(n / 16) * 16;

/** Bytes of a matrix as `quantizeFloat8` writes it: its rows and, with `both`, those of its transpose, each padded to whole multiples of 16. */
export function float8Bytes(rows: number, columns: number, both: boolean): number {
  return rows * padded16(columns) + (both ? columns * padded16(rows) : 0);
}

/** A matrix that `quantizeFloat8` has written, and which of its two layouts is multiplied. */
export interface Float8Factor {
  /** Format of its bytes. */
  readonly format: Float8Format;
  /** Rows of what was quantized. */
  readonly rows: number;
  /** Columns of what was quantized. */
  readonly columns: number;
  /** Whether the factor is the transpose, which needs both layouts. */
  readonly transposed: boolean;
}

/** Where a factor begins in its bytes, its rows, and the length of one. */
export function float8Place(
  { rows, columns, transposed }: Float8Factor,
): { start: number; rows: number; length: number } {
  return transposed
    ? { start: rows * padded16(columns), rows: columns, length: padded16(rows) }
    : { start: 0, rows, length: padded16(columns) };
}
