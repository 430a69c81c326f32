/** Gradients against finite differences. */
import { grad } from "./grad.ts";
import { tensor } from "./tensor/creation.ts";
import type { Tensor } from "./tensor/tensor.ts";

/** Options of {@linkcode gradcheck}. */
export interface GradcheckOptions {
  /** Half the distance of the two points of a central difference. */
  eps?: number;
  /** Absolute tolerance. */
  atol?: number;
  /** Relative tolerance. */
  rtol?: number;
}

/**
 * Compares the gradients of `fn` with central differences, element by element.
 *
 * @param fn From float64 tensors to one tensor, whose elements are summed with fixed weights
 * @param inputs float64 tensors that require gradients
 * @returns true
 * @throws {TypeError} When an input is not float64 or requires no gradient
 * @throws {Error} At the first element that differs, with both numbers
 */
export function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): true {
  const { eps = 1e-6, atol = 1e-5, rtol = 1e-3 } = options;
  inputs.forEach((x, i) => {
    if (x.dtype !== "float64" || !x.requiresGrad) {
      throw new TypeError(
        `Cannot check gradients of input ${i}: it must be float64 and require a gradient`,
      );
    }
  });
  // Unequal weights, so that errors of opposite sign do not cancel.
  const weighted = (out: Tensor): Tensor => {
    const w = Float64Array.from({ length: out.numel }, (_, i) => 1 + 0.37 * Math.sin(3 * i + 1));
    return out.mul(tensor(w, { device: out.device }).reshape(out.shape)).sum();
  };
  const exact = grad(weighted(fn(...inputs)), inputs);
  inputs.forEach((input, which) => {
    const values = Float64Array.from(input.data() as Float64Array);
    const found = exact[which].data() as Float64Array;
    const at = (i: number, x: number): number => {
      const moved = Float64Array.from(values);
      moved[i] = x;
      const probe = tensor(moved, { device: input.device }).reshape(input.shape);
      return weighted(fn(...inputs.map((t, k) => k === which ? probe : t.detach()))).item();
    };
    for (let i = 0; i < values.length; i++) {
      const difference = (at(i, values[i] + eps) - at(i, values[i] - eps)) / (2 * eps);
      if (!(Math.abs(found[i] - difference) <= atol + rtol * Math.abs(difference))) {
        throw new Error(
          `Gradient of input ${which} is wrong at element ${i}: got ${
            found[i]
          }, finite differences give ${difference}`,
        );
      }
    }
  });
  return true;
}
