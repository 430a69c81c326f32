/** Activations that treat positive and negative numbers differently, as functions. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { rand, type Tensor } from "../../tensor/mod.ts";

// Fixed point of mean 0 and variance 1 (Klambauer et al., arXiv:1706.02515).
const seluAlpha = 1.6732632423543772, seluScale = 1.0507009873554805;

/** `max(x, 0)`, elementwise. */
export function relu(x: Tensor): Tensor {
  return x.relu();
}

/** `x` above 0, `negativeSlope * x` elsewhere. */
export function leakyRelu(x: Tensor, negativeSlope: number = 0.01): Tensor {
  return x.leakyRelu(negativeSlope);
}

/**
 * `x` above 0, `weight * x` elsewhere, with a weight for each channel (He et al., arXiv:1502.01852).
 *
 * @param x `[N, C, ...]`; a vector or a number has one channel
 * @param weight One element, or `[C]`
 * @returns Same shape as `x`
 * @throws {TypeError} When the weight does not fit the channels
 */
export function prelu(x: Tensor, weight: Tensor): Tensor {
  if (isAutocasting()) return underPolicy("prelu", prelu, arguments);
  const channels = x.ndim >= 2 ? x.shape[1] : 1;
  if (weight.ndim > 1 || (weight.numel !== 1 && weight.numel !== channels)) {
    throw new TypeError(
      `Cannot apply prelu to [${x.shape.join(", ")}] with weight [${
        weight.shape.join(", ")
      }]: it must have 1 or ${channels} elements`,
    );
  }
  const w = weight.numel === 1
    ? weight.reshape([])
    : weight.reshape(x.shape.map((_, d) => d === 1 ? channels : 1));
  return x.gt(0).where(x, x.mul(w));
}

/** Options of {@linkcode rrelu}. */
export interface RreluOptions {
  /** Smallest slope; 1/8 by default. */
  readonly lower?: number;
  /** Largest slope; 1/3 by default. */
  readonly upper?: number;
  /** Whether slopes are random; false by default: their mean is used. */
  readonly training?: boolean;
}

/**
 * `x` above 0, `a * x` elsewhere: `a` uniform between `lower` and `upper`, anew for each element, or their mean (Xu et al., arXiv:1505.00853).
 *
 * @throws {RangeError} When `lower` is above `upper`
 */
export function rrelu(x: Tensor, options: RreluOptions = {}): Tensor {
  const { lower = 1 / 8, upper = 1 / 3, training = false } = options;
  checkSlopes("apply rrelu", lower, upper);
  if (!training) return x.leakyRelu((lower + upper) / 2);
  const slopes = rand(x.shape, { dtype: x.dtype, device: x.device }).mul(upper - lower).add(lower);
  return x.gt(0).where(x, x.mul(slopes));
}

/** @throws {RangeError} When `lower` is above `upper` */
export function checkSlopes(action: string, lower: number, upper: number): void {
  if (!(lower <= upper)) {
    throw new RangeError(
      `Cannot ${action} with lower ${lower} and upper ${upper}: lower must not be above upper`,
    );
  }
}

/** `x` above 0, `alpha * (exp(x) - 1)` elsewhere (Clevert et al., arXiv:1511.07289). */
export function elu(x: Tensor, alpha: number = 1): Tensor {
  if (isAutocasting()) return underPolicy("elu", elu, arguments);
  return x.elu(alpha);
}

/**
 * `x` above 0, `alpha * (exp(x / alpha) - 1)` elsewhere (Barron, arXiv:1704.07483).
 *
 * @throws {RangeError} When `alpha` is 0
 */
export function celu(x: Tensor, alpha: number = 1): Tensor {
  if (isAutocasting()) return underPolicy("celu", celu, arguments);
  checkCelu("apply celu", alpha);
  const positive = x.gt(0);
  return positive.where(x, positive.where(0, x).mul(1 / alpha).expm1().mul(alpha));
}

/** @throws {RangeError} When `alpha` is 0 */
export function checkCelu(action: string, alpha: number): void {
  if (alpha === 0 || Number.isNaN(alpha)) {
    throw new RangeError(`Cannot ${action} with alpha ${alpha}: it must not be 0`);
  }
}

/** `1.0507 * elu(x, 1.6733)`: keeps mean 0 and variance 1 from layer to layer (Klambauer et al., arXiv:1706.02515). */
export function selu(x: Tensor): Tensor {
  if (isAutocasting()) return underPolicy("selu", selu, arguments);
  return x.elu(seluAlpha).mul(seluScale);
}
