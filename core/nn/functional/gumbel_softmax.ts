/** Differentiable draws of categories. */
import { rand, type Tensor } from "../../tensor/mod.ts";
import { checkPositive } from "./reduction.ts";

/** Options of {@linkcode gumbelSoftmax}. */
export interface GumbelSoftmaxOptions {
  /** Temperature: low ones come close to one-hot; 1 by default. */
  readonly tau?: number;
  /** Whether the result is one-hot, with the gradient of the soft one; false by default. */
  readonly hard?: boolean;
  /** Dimension of the categories; the last by default. */
  readonly dim?: number;
}

/**
 * Draws from categories so that gradients flow: `softmax((logits + g) / tau)` with Gumbel noise `g` (Jang et al., arXiv:1611.01144).
 *
 * @param logits Unnormalised log probabilities
 * @param options Temperature, one-hot, dimension
 * @returns Same shape; sums to 1 along `dim`
 * @throws {RangeError} When `tau` is not above 0 or the dimension does not exist
 */
export function gumbelSoftmax(logits: Tensor, options: GumbelSoftmaxOptions = {}): Tensor {
  const { tau = 1, hard = false, dim = -1 } = options;
  checkPositive("the Gumbel softmax", "tau", tau);
  // 1 - u is never 0.
  const { device } = logits, u = rand(logits.shape, { device }).neg().add(1);
  const least = 2 ** -126, noise = u.log().neg().clamp({ min: least }).log().neg();
  const soft = logits.add(noise.to(logits.dtype)).div(tau).softmax(dim);
  if (!hard) return soft;
  const index = soft.detach().argmax(dim, true);
  const oneHot = soft.detach().mul(0).scatter(dim, index, 1);
  return oneHot.withGradient([soft], (g) => [g]);
}
