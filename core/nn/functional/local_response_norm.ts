/** Normalisation over neighbouring channels. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import type { Tensor } from "../../tensor/mod.ts";

/** Options of {@linkcode localResponseNorm}. */
export interface LocalResponseNormOptions {
  /** Factor of the mean square; 1e-4 by default. */
  readonly alpha?: number;
  /** Exponent; 0.75 by default. */
  readonly beta?: number;
  /** Added; 1 by default. */
  readonly k?: number;
}

/**
 * `x / (k + alpha * mean(x ** 2 over the neighbouring channels)) ** beta` (Krizhevsky et al. 2012).
 *
 * @param x `[N, C, ...]`
 * @param size Number of neighbouring channels
 * @param options alpha, beta, k
 * @returns Same shape
 * @throws {TypeError} When there are fewer than 3 dimensions
 */
export function localResponseNorm(
  x: Tensor,
  size: number,
  options: LocalResponseNormOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("localResponseNorm", localResponseNorm, arguments);
  const { alpha = 1e-4, beta = 0.75, k = 1 } = options;
  if (x.ndim < 3) {
    throw new TypeError(
      `Cannot apply localResponseNorm to [${x.shape.join(", ")}]: 3 or more dimensions are needed`,
    );
  }
  if (x.numel === 0) return x;
  const before = Math.floor(size / 2), channels = x.shape[1];
  const around = x.shape.slice(2).flatMap(() => [0, 0]);
  const padded = x.square().pad([...around, before, size - 1 - before]);
  const total = Array.from({ length: size }, (_, i) => padded.narrow(1, i, channels))
    .reduce((a, b) => a.add(b));
  return x.div(total.mul(alpha / size).add(k).pow(beta));
}
