/** The dropout family. */
import { bernoulli, type Tensor, zerosLike } from "../../tensor/mod.ts";
import { checkProbability } from "../check.ts";

/** Options of {@linkcode dropout}. */
export interface DropoutOptions {
  /** Probability of an element (or a channel) to become zero; 0.5 by default. */
  readonly p?: number;
  /** Whether anything happens; true by default. */
  readonly training?: boolean;
}

/**
 * Makes each element zero with probability `p` and scales the rest by `1 / (1 - p)` (Srivastava et al., "Dropout", 2014).
 *
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function dropout(x: Tensor, options: DropoutOptions = {}): Tensor {
  return drop(x, options, x.shape);
}

/**
 * {@linkcode dropout} of whole channels.
 *
 * @param x `[N, C, L]` or `[C, L]`
 * @throws {TypeError} When `x` has another number of dimensions
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function dropout1d(x: Tensor, options: DropoutOptions = {}): Tensor {
  checkDims("dropout1d", x, [2, 3]);
  return drop(x, options, channels(x, x.ndim === 2 ? 1 : 2));
}

/**
 * {@linkcode dropout} of whole channels. As in PyTorch, three dimensions are read as `[N, C, L]`.
 *
 * @param x `[N, C, H, W]`
 * @throws {TypeError} When `x` has fewer than 2 dimensions
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function dropout2d(x: Tensor, options: DropoutOptions = {}): Tensor {
  checkDims("dropout2d", x, [2, 3, 4, 5]);
  return drop(x, options, channels(x, 2));
}

/**
 * {@linkcode dropout} of whole channels.
 *
 * @param x `[N, C, D, H, W]` or `[C, D, H, W]`
 * @throws {TypeError} When `x` has another number of dimensions
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function dropout3d(x: Tensor, options: DropoutOptions = {}): Tensor {
  checkDims("dropout3d", x, [4, 5]);
  return drop(x, options, channels(x, x.ndim === 4 ? 1 : 2));
}

/** Options of {@linkcode alphaDropout}. */
export interface AlphaDropoutOptions {
  /** Probability of an element (or a channel) to be replaced; 0.5 by default. */
  readonly p?: number;
  /** Whether anything happens; false by default, as in PyTorch. */
  readonly training?: boolean;
}

/**
 * Replaces elements by the negative limit of SELU and rescales, so that mean 0 and variance 1 stay (Klambauer et al., arXiv:1706.02515).
 *
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function alphaDropout(x: Tensor, options: AlphaDropoutOptions = {}): Tensor {
  return alphaDrop(x, options, x.shape);
}

/**
 * {@linkcode alphaDropout} of whole channels.
 *
 * @param x `[N, C, ...]`
 * @throws {TypeError} When training and `x` has fewer than 2 dimensions
 * @throws {RangeError} When `p` is outside 0 to 1
 */
export function featureAlphaDropout(x: Tensor, options: AlphaDropoutOptions = {}): Tensor {
  if (options.training === true && x.ndim < 2) {
    throw new TypeError(
      `Cannot apply featureAlphaDropout to [${
        x.shape.join(", ")
      }]: it must have at least 2 dimensions`,
    );
  }
  return alphaDrop(x, options, channels(x, 2));
}

/** `x` times a mask of `shape`, which broadcasts to that of `x`. */
function drop(x: Tensor, options: DropoutOptions, shape: readonly number[]): Tensor {
  const { p = 0.5, training = true } = options;
  checkProbability("drop out", "p", p);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(zerosLike(x));
  const kept = bernoulli(1 - p, shape, { dtype: x.dtype, device: x.device });
  return x.mul(kept).mul(1 / (1 - p));
}

// scale * alpha of SELU: its outputs approach minus this for inputs far below 0.
const seluLimit = 1.7580993408473766;

function alphaDrop(x: Tensor, options: AlphaDropoutOptions, shape: readonly number[]): Tensor {
  const { p = 0.5, training = false } = options;
  checkProbability("drop out", "p", p);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(zerosLike(x));
  const kept = bernoulli(1 - p, shape, { dtype: x.dtype, device: x.device });
  const scale = 1 / Math.sqrt((seluLimit * seluLimit * p + 1) * (1 - p));
  const shift = kept.add(p - 1).mul(seluLimit * scale);
  return x.mul(kept.mul(scale)).add(shift);
}

/** Sizes of the first `lead` dimensions, 1 for the others. */
const channels = (x: Tensor, lead: number): number[] => x.shape.map((s, d) => d < lead ? s : 1);

function checkDims(name: string, x: Tensor, wanted: readonly number[]): void {
  if (wanted.includes(x.ndim)) return;
  throw new TypeError(
    `Cannot apply ${name} to [${x.shape.join(", ")}]: it must have ${
      wanted.slice(0, -1).join(", ")
    } or ${wanted.at(-1)} dimensions`,
  );
}
