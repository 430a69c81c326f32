/** Eight-bit floats, emulated in float32: every value is one that the format has. */
import { type Float8Format, float8Formats } from "../float8_format.ts";
import type { Tensor } from "../tensor/mod.ts";

/**
 * Rounds to the nearest number of a format, ties to even; beyond its largest number to that one. NaN stays.
 *
 * @param x float32, any shape
 * @param format Which format
 * @returns float32, the same shape
 */
export function roundToFloat8(x: Tensor, format: Float8Format): Tensor {
  const { mantissa, minExponent, maxExponent, max } = float8Formats[format];
  const clamped = x.clamp({ min: -max, max }), size = clamped.abs();
  // Spacing of the binade; powers of two, so that dividing and multiplying by it is exact.
  const binade = Array.from({ length: maxExponent - minExponent }, (_, i) => minExponent + 1 + i)
    .reduce<Tensor>(
      (spacing, e) => size.ge(2 ** e).where(2 ** (e - mantissa), spacing),
      size.mul(0).add(2 ** (minExponent - mantissa)),
    );
  return clamped.div(binade).round().mul(binade);
}

/**
 * Factor that brings the largest absolute value of a tensor to the end of a format; 1 where there is none.
 *
 * @param amax 0-d: the largest absolute value
 * @param format Which format
 * @returns 0-d float32
 */
export function float8Scale(amax: Tensor, format: Float8Format): Tensor {
  const isUsable = amax.gt(0).logicalAnd(amax.isfinite());
  const scale = isUsable.where(amax, 1).reciprocal().mul(float8Formats[format].max);
  return isUsable.logicalAnd(scale.isfinite()).where(scale, 1);
}
