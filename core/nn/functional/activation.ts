/** Activations as functions; each is the tensor method of the same name. */
import type { Tensor } from "../../tensor/mod.ts";

/** `max(x, 0)`, elementwise. */
export function relu(x: Tensor): Tensor {
  return x.relu();
}

/** `x * Phi(x)`, exact or with the tanh approximation, elementwise. */
export function gelu(x: Tensor, options: { approximate?: "none" | "tanh" } = {}): Tensor {
  return x.gelu(options);
}

/** `x * sigmoid(x)`, elementwise. */
export function silu(x: Tensor): Tensor {
  return x.silu();
}

/** `tanh(x)`, elementwise. */
export function tanh(x: Tensor): Tensor {
  return x.tanh();
}

/** `1 / (1 + exp(-x))`, elementwise. */
export function sigmoid(x: Tensor): Tensor {
  return x.sigmoid();
}

/** `exp(x)` over its sum along `dim`. */
export function softmax(x: Tensor, dim: number): Tensor {
  return x.softmax(dim);
}

/** Logarithm of the softmax along `dim`. */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return x.logSoftmax(dim);
}
