/** Normalisations. */
import type { Tensor } from "../../tensor/mod.ts";

/** Options of {@linkcode layerNorm}. */
export interface LayerNormFunctionOptions {
  /** Scale, in the normalised shape. */
  readonly weight?: Tensor;
  /** Shift, in the normalised shape. */
  readonly bias?: Tensor;
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number;
}

/**
 * `(x - mean) / sqrt(variance + eps) * weight + bias` over the last dimensions, with the biased variance.
 *
 * @param x `[..., ...normalizedShape]`
 * @param normalizedShape Sizes of the last dimensions
 * @param options Weight, bias, eps
 * @returns Same shape as `x`
 * @throws {TypeError} When the last sizes of `x` differ
 */
export function layerNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  options: LayerNormFunctionOptions = {},
): Tensor {
  const { weight, bias, eps = 1e-5 } = options, k = normalizedShape.length;
  if (k === 0 || k > x.ndim || normalizedShape.some((n, i) => n !== x.shape[x.ndim - k + i])) {
    throw new TypeError(
      `Cannot normalise [${x.shape.join(", ")}]: its last sizes must be [${
        normalizedShape.join(", ")
      }]`,
    );
  }
  const dims = normalizedShape.map((_, i) => i - k);
  const centered = x.sub(x.mean(dims, true));
  let y = centered.mul(centered.square().mean(dims, true).add(eps).rsqrt());
  if (weight !== undefined) y = y.mul(weight);
  if (bias !== undefined) y = y.add(bias);
  return y;
}
