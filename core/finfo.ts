/** Limits of the numeric types. */
import { type DType, dtypes, isFloat } from "./dtype.ts";

/** What a floating type can hold. */
export interface FloatInfo {
  /** Bits of an element. */
  readonly bits: number;
  /** Distance from 1 to the next larger number. */
  readonly eps: number;
  /** Largest finite number. */
  readonly max: number;
  /** Smallest finite number, `-max`. */
  readonly min: number;
  /** Smallest positive number of full precision. */
  readonly tiny: number;
  /** The same as `tiny`. */
  readonly smallestNormal: number;
  /** Decimal digits that survive, as a power of ten. */
  readonly resolution: number;
}

/** What an integer type can hold. */
export interface IntInfo {
  /** Bits of an element. */
  readonly bits: number;
  /** Largest number; a bigint for int64. */
  readonly max: number | bigint;
  /** Smallest number; a bigint for int64. */
  readonly min: number | bigint;
}

/** Bits of the fraction, and the largest exponent. */
const floats: Partial<Record<DType, readonly [number, number]>> = {
  float16: [10, 15],
  bfloat16: [7, 127],
  float32: [23, 127],
  float64: [52, 1023],
};

const integers: Partial<Record<DType, readonly [number | bigint, number | bigint]>> = {
  uint8: [0, 255],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
};

/**
 * Limits of a floating type (IEEE 754; bfloat16 is float32 with its last 16 bits cut off).
 * @throws {TypeError} When the type holds no floats
 */
export function finfo(dtype: DType): FloatInfo {
  const found = floats[dtype];
  if (found === undefined) {
    throw new TypeError(`Cannot take finfo of ${dtype}: it must be a floating type; use iinfo`);
  }
  const [fraction, exponent] = found, eps = 2 ** -fraction, tiny = 2 ** (1 - exponent);
  const max = (2 - eps) * 2 ** exponent;
  const resolution = Number(`1e-${Math.floor(fraction * Math.log10(2))}`);
  const bits = 8 * dtypes[dtype].bytes;
  return { bits, eps, max, min: -max, tiny, smallestNormal: tiny, resolution };
}

/**
 * Limits of an integer type.
 * @throws {TypeError} When the type holds no integers
 */
export function iinfo(dtype: DType): IntInfo {
  const found = integers[dtype];
  if (found === undefined) {
    throw new TypeError(
      `Cannot take iinfo of ${dtype}: it must be an integer type${
        isFloat(dtype) ? "; use finfo" : ""
      }`,
    );
  }
  return { bits: 8 * dtypes[dtype].bytes, min: found[0], max: found[1] };
}
