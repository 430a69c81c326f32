/** The affine map. */
import type { Tensor } from "../../tensor/mod.ts";

/**
 * `x @ weight.T + bias`.
 *
 * @param x `[..., in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 * @returns `[..., out]`
 * @throws {TypeError} When the sizes do not match
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  if (weight.ndim !== 2 || x.ndim === 0 || x.shape[x.ndim - 1] !== weight.shape[1]) {
    throw new TypeError(
      `Cannot apply a linear layer to [${x.shape.join(", ")}]: its weight is [${
        weight.shape.join(", ")
      }], so the last size must be ${weight.shape[1]}`,
    );
  }
  const y = x.matmul(weight.transpose(0, 1));
  return bias === undefined ? y : y.add(bias);
}
