/** Pooling by plain loops, any number of spatial dimensions. */
import type { PoolParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** `[x, out]`: see `RoutineParams.maxPool`. */
export function maxPool(
  { kernel, stride, padding, dilation }: PoolParams,
  [x, out]: readonly PlainOperand[],
): void {
  const spatial = kernel.length, sizes = x.shape.slice(-spatial), grid = out.shape.slice(-spatial);
  const plane = product(sizes), places = product(grid), planes = product(x.shape) / plane;
  const window = product(kernel), at = new Array<number>(spatial), k = new Array<number>(spatial);
  for (let g = 0; g < places; g++) {
    for (let d = spatial - 1, rest = g; d >= 0; d--) {
      at[d] = rest % grid[d] * stride[d] - padding[d];
      rest = Math.floor(rest / grid[d]);
    }
    const inside: number[] = [];
    for (let w = 0; w < window; w++) {
      for (let d = spatial - 1, rest = w; d >= 0; d--) {
        k[d] = rest % kernel[d];
        rest = Math.floor(rest / kernel[d]);
      }
      let flat = 0;
      for (let d = 0; d < spatial && flat >= 0; d++) {
        const i = at[d] + k[d] * dilation[d];
        flat = i < 0 || i >= sizes[d] ? -1 : flat * sizes[d] + i;
      }
      if (flat >= 0) inside.push(flat);
    }
    for (let p = 0; p < planes; p++) {
      let best = inside[0], most = x.data[p * plane + best];
      for (let j = 1; j < inside.length; j++) {
        const value = x.data[p * plane + inside[j]];
        // The first NaN wins, as in PyTorch.
        if (value > most || (value !== value && most === most)) [most, best] = [value, inside[j]];
      }
      out.data[p * places + g] = best;
    }
  }
}

/** `[gradient, index, out]`: see `RoutineParams.poolScatter`. */
export function poolScatter(
  { spatialDims }: { readonly spatialDims: number },
  [gradient, index, out]: readonly PlainOperand[],
): void {
  const plane = product(out.shape.slice(-spatialDims));
  const windows = product(gradient.shape.slice(-spatialDims));
  for (let i = 0; i < out.data.length; i++) out.data[i] = 0;
  for (let i = 0; i < gradient.data.length; i++) {
    out.data[Math.floor(i / windows) * plane + index.data[i]] += gradient.data[i];
  }
}
