/** Dropout. */
import { bernoulli, type Tensor, zerosLike } from "../../tensor/mod.ts";
import { checkProbability } from "../check.ts";

/** Options of {@linkcode dropout}. */
export interface DropoutOptions {
  /** Probability of an element to become zero; 0.5 by default. */
  readonly p?: number;
  /** Whether anything happens; true by default. */
  readonly training?: boolean;
}

/**
 * Makes each element zero with probability `p` and scales the rest by `1 / (1 - p)`.
 *
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function dropout(x: Tensor, options: DropoutOptions = {}): Tensor {
  const { p = 0.5, training = true } = options;
  checkProbability("drop out", "p", p);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(zerosLike(x));
  const kept = bernoulli(1 - p, x.shape, { dtype: x.dtype, device: x.device });
  return x.mul(kept).mul(1 / (1 - p));
}
