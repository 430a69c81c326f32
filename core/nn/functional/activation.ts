/** Smooth activations as functions. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { type DType, isFloat } from "../../dtype.ts";
import type { Tensor } from "../../tensor/mod.ts";

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

/** `log(sigmoid(x))`, elementwise, without overflow. */
export function logsigmoid(x: Tensor): Tensor {
  if (isAutocasting()) return underPolicy("logsigmoid", logsigmoid, arguments);
  checkFloat("take the log-sigmoid of", x);
  const z = x.abs().neg().exp();
  // The slope is sigmoid(-x), by whichever form has no overflow.
  return x.minimum(0).sub(z.log1p()).detach().withGradient([x], (g) => {
    const e = x.abs().neg().exp();
    return [g.mul(x.lt(0).where(1, e)).div(e.add(1))];
  });
}

/** `log(1 + exp(beta * x)) / beta`, linear where `beta * x` is above `threshold`, elementwise. */
export function softplus(
  x: Tensor,
  options: { beta?: number; threshold?: number } = {},
): Tensor {
  return x.softplus(options);
}

/** `x * tanh(softplus(x))`, elementwise (Misra, arXiv:1908.08681). */
export function mish(x: Tensor): Tensor {
  if (isAutocasting()) return underPolicy("mish", mish, arguments);
  return x.mul(x.softplus().tanh());
}

/** `x / (1 + |x|)`, elementwise. */
export function softsign(x: Tensor): Tensor {
  return x.div(x.abs().add(1));
}

/** `x - tanh(x)`, elementwise. */
export function tanhshrink(x: Tensor): Tensor {
  return x.sub(x.tanh());
}

/** `exp(x)` over its sum along `dim`. */
export function softmax(x: Tensor, dim: number, options: { dtype?: DType } = {}): Tensor {
  return x.softmax(dim, options);
}

/** Logarithm of the softmax along `dim`, in `dtype`. */
export function logSoftmax(x: Tensor, dim: number, options: { dtype?: DType } = {}): Tensor {
  return x.logSoftmax(dim, options);
}

/** The softmax of `-x` along `dim`, in `dtype`. */
export function softmin(x: Tensor, dim: number, options: { dtype?: DType } = {}): Tensor {
  return x.neg().softmax(dim, options);
}

/**
 * First half times the sigmoid of the second half along `dim` (Dauphin et al., arXiv:1612.08083).
 *
 * @param x Size along `dim` even
 * @param dim The last one by default
 * @returns Half the size along `dim`
 * @throws {TypeError} When the size is odd or there is no dimension
 */
export function glu(x: Tensor, dim: number = -1): Tensor {
  const d = dim < 0 ? dim + x.ndim : dim, size = x.shape[d];
  if (size === undefined || size % 2 !== 0) {
    throw new TypeError(
      `Cannot gate [${x.shape.join(", ")}] along dim ${dim}: ${
        size === undefined ? "there is no such dim" : `its size ${size} must be even`
      }`,
    );
  }
  return x.narrow(d, 0, size / 2).mul(x.narrow(d, size / 2, size / 2).sigmoid());
}

/** @throws {TypeError} When a tensor holds no floats */
function checkFloat(action: string, x: Tensor): void {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`Cannot ${action} ${x.dtype}: cast to a float dtype first`);
  }
}
