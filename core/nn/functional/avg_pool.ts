/** Average and power-average pooling. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { ones, type Tensor, tensor } from "../../tensor/mod.ts";
import type { Sizes } from "./convolution.ts";
import { conv1d, conv2d, conv3d, sizesOf } from "./convolution.ts";
import { windowsOf } from "./max_pool.ts";

/** Options of average pooling. */
export interface AvgPoolOptions {
  /** Step between windows; the size of the window by default. */
  readonly stride?: Sizes;
  /** Zeros on both sides, at most half a window; 0 by default. */
  readonly padding?: Sizes;
  /** Whether windows may hang over the far side; false by default. */
  readonly ceilMode?: boolean;
  /** Whether the zeros count as elements; true by default. */
  readonly countIncludePad?: boolean;
  /** What sums are divided by, instead of the number of elements. */
  readonly divisorOverride?: number;
}

const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);
const convolutions = [conv1d, conv2d, conv3d] as const;

/** @throws {RangeError} When sums would be divided by 0 */
export function checkDivisor(action: string, divisorOverride: number | undefined): void {
  if (divisorOverride === undefined || Math.abs(divisorOverride) > 0) return;
  throw new RangeError(
    `Cannot ${action} with divisorOverride ${divisorOverride}: it must not be 0`,
  );
}

/** @throws {RangeError} When there is no such root */
export function checkNormType(action: string, normType: number): void {
  if (Number.isFinite(normType) && normType !== 0) return;
  throw new RangeError(
    `Cannot ${action} with normType ${normType}: it must be a finite number other than 0`,
  );
}

function avgPool(
  what: string,
  spatial: number,
  x: Tensor,
  kernelSize: Sizes,
  options: AvgPoolOptions,
): Tensor {
  const { countIncludePad = true, divisorOverride } = options;
  const { kernel, stride, padding, grid } = windowsOf(what, spatial, x, kernelSize, options);
  checkDivisor(`apply ${what}`, divisorOverride);
  const lead = x.shape.slice(0, x.ndim - spatial), sizes = x.shape.slice(-spatial);
  const count = product(kernel);
  const apart = kernel.every((k, d) =>
    k === stride[d] && padding[d] === 0 && grid[d] * k === sizes[d]
  );
  let sums: Tensor;
  if (apart) {
    // Windows that tile the input are dimensions of their own.
    const split = x.reshape([...lead, ...kernel.flatMap((k, d) => [grid[d], k])]);
    sums = split.sum(kernel.map((_, d) => lead.length + 2 * d + 1));
  } else {
    // What the last windows need beyond the far padding, or do not reach.
    const far = grid.map((n, d) => (n - 1) * stride[d] + kernel[d] - sizes[d] - padding[d]);
    const padded = x.pad(far.flatMap((f, d) => [[padding[d], f]]).toReversed().flat());
    const planes = padded.reshape([product(lead), 1, ...padded.shape.slice(-spatial)]);
    const window = ones([1, 1, ...kernel], { dtype: x.dtype, device: x.device });
    sums = convolutions[spatial - 1](planes, window, { stride }).reshape([...lead, ...grid]);
  }
  if (divisorOverride !== undefined) return sums.div(divisorOverride);
  // Elements along one dimension that count for each window.
  const counts = grid.map((n, d) =>
    Array.from({ length: n }, (_, i) => {
      const from = i * stride[d] - padding[d], room = sizes[d] + (countIncludePad ? padding[d] : 0);
      return Math.min(from + kernel[d], room) - (countIncludePad ? from : Math.max(from, 0));
    })
  );
  if (counts.every((c, d) => c.every((n) => n === kernel[d]))) return sums.mul(1 / count);
  return counts.reduce(
    (y, c, d) =>
      y.div(
        tensor(Float32Array.from(c), { device: x.device }).to(x.dtype)
          .reshape(grid.map((n, e) => e === d ? n : 1)),
      ),
    sums,
  );
}

/** `(sum of x ** p over each window) ** (1 / p)`. */
function lpPool(
  what: string,
  spatial: number,
  x: Tensor,
  normType: number,
  kernelSize: Sizes,
  options: LPPoolOptions,
): Tensor {
  checkNormType(`apply ${what}`, normType);
  const kernel = sizesOf(`apply ${what}`, "kernelSize", kernelSize, spatial, 1);
  const y = avgPool(what, spatial, x.pow(normType), kernel, options);
  return y.sign().mul(y.abs().relu()).mul(product(kernel)).pow(1 / normType);
}

/** Options of power-average pooling. */
export interface LPPoolOptions {
  /** Step between windows; the size of the window by default. */
  readonly stride?: Sizes;
  /** Whether windows may hang over the far side; false by default. */
  readonly ceilMode?: boolean;
}

/**
 * The mean of each window of `[N, C, L]` (or without N).
 *
 * @param x The input
 * @param kernelSize Size of the windows
 * @param options Stride, padding, ceilMode, what to divide by
 * @returns The means, `floor((size + 2 padding - kernelSize) / stride) + 1` along each dimension
 * @throws {TypeError} When the rank does not fit
 * @throws {RangeError} When an option is out of range or a window is larger than the padded input
 */
export function avgPool1d(x: Tensor, kernelSize: Sizes, options: AvgPoolOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("avgPool1d", avgPool1d, arguments);
  return avgPool("avgPool1d", 1, x, kernelSize, options);
}

/**
 * `(sum of x ** p over each window) ** (1 / p)` for `[N, C, L]`.
 * @throws {RangeError} When normType is 0 or not finite
 */
export function lpPool1d(
  x: Tensor,
  normType: number,
  kernelSize: Sizes,
  options: LPPoolOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("lpPool1d", lpPool1d, arguments);
  return lpPool("lpPool1d", 1, x, normType, kernelSize, options);
}

/** {@linkcode avgPool1d} of `[N, C, H, W]`. */
export function avgPool2d(x: Tensor, kernelSize: Sizes, options: AvgPoolOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("avgPool2d", avgPool2d, arguments);
  return avgPool("avgPool2d", 2, x, kernelSize, options);
}

/** `(sum of x ** p over each window) ** (1 / p)` for `[N, C, H, W]`. */
export function lpPool2d(
  x: Tensor,
  normType: number,
  kernelSize: Sizes,
  options: LPPoolOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("lpPool2d", lpPool2d, arguments);
  return lpPool("lpPool2d", 2, x, normType, kernelSize, options);
}

/** {@linkcode avgPool1d} of `[N, C, D, H, W]`. */
export function avgPool3d(x: Tensor, kernelSize: Sizes, options: AvgPoolOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("avgPool3d", avgPool3d, arguments);
  return avgPool("avgPool3d", 3, x, kernelSize, options);
}

/** `(sum of x ** p over each window) ** (1 / p)` for `[N, C, D, H, W]`. */
export function lpPool3d(
  x: Tensor,
  normType: number,
  kernelSize: Sizes,
  options: LPPoolOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("lpPool3d", lpPool3d, arguments);
  return lpPool("lpPool3d", 3, x, normType, kernelSize, options);
}
