/** Pooling to a given size, and the way back from max pooling. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { arange, type Tensor, zeros } from "../../tensor/mod.ts";
import type { Sizes } from "./convolution.ts";
import { sizesOf } from "./convolution.ts";
import { areaTaps, resizeDim } from "./interpolate.ts";
import { checkSpatial, planeGather, type PoolResult } from "./max_pool.ts";
import { pick } from "./pad.ts";

/** Sizes of the result; null keeps one. */
export type AdaptiveSizes = number | readonly (number | null)[];

const text = (shape: readonly unknown[]): string => `[${shape.join(", ")}]`;
const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/**
 * A size for each dimension; `action` begins the messages: `apply adaptiveAvgPool2d`, `make AdaptiveAvgPool2d`.
 * @throws {TypeError} When there are too many or too few
 * @throws {RangeError} When one is not a whole number of at least `least`
 */
export function adaptiveSizes(
  action: string,
  spatial: number,
  size: AdaptiveSizes,
  least: number,
): (number | null)[] {
  const list = typeof size === "number" ? new Array<number>(spatial).fill(size) : [...size];
  const given = text(list.map((n) => n ?? "null"));
  if (list.length !== spatial) {
    const wanted = spatial === 1 ? "one number" : `a number or ${spatial} numbers`;
    throw new TypeError(`Cannot ${action} with outputSize ${given}: it must be ${wanted}`);
  }
  if (!list.every((n) => n === null || (Number.isInteger(n) && n >= least))) {
    throw new RangeError(
      `Cannot ${action} with outputSize ${given}: it must be whole, at least ${least}`,
    );
  }
  return list;
}

/** The sizes of the result; a size of 0 gives an empty one, as in PyTorch. */
function targets(what: string, spatial: number, x: Tensor, size: AdaptiveSizes): number[] {
  checkSpatial(what, x, spatial);
  return adaptiveSizes(`apply ${what}`, spatial, size, 0)
    .map((n, d) => n ?? x.shape[x.ndim - spatial + d]);
}

function adaptiveAvg(what: string, spatial: number, x: Tensor, size: AdaptiveSizes): Tensor {
  const to = targets(what, spatial, x, size), lead = x.ndim - spatial;
  let y = x;
  to.forEach((output, d) => {
    const input = x.shape[lead + d];
    if (output === 0 || input % output === 0) {
      const shape = [...y.shape.slice(0, lead + d), output, input / Math.max(output, 1)];
      y = output === 0
        ? y.slice(lead + d, 0, 0)
        : y.reshape([...shape, ...y.shape.slice(lead + d + 1)]).mean(lead + d + 1);
    } else y = resizeDim(y, lead + d, areaTaps(input, output));
  });
  return y;
}

/** Places of the elements of each of `output` windows over `input`, lists of one length. */
function windowPlaces(input: number, output: number): number[][] {
  const windows = Array.from({ length: output }, (_, i) => ({
    from: Math.floor(i * input / output),
    to: Math.ceil((i + 1) * input / output),
  }));
  const most = Math.max(0, ...windows.map((w) => w.to - w.from));
  return windows.map((w) => Array.from({ length: most }, (_, j) => Math.min(w.from + j, w.to - 1)));
}

function adaptiveMax(what: string, spatial: number, x: Tensor, size: AdaptiveSizes): PoolResult {
  const to = targets(what, spatial, x, size), lead = x.ndim - spatial;
  const sizes = x.shape.slice(lead);
  // Places of the elements of each window along each dimension; short windows repeat their last element.
  const places = to.map((output, d) => windowPlaces(sizes[d], output));
  let plane = arange(product(sizes), undefined, 1, { dtype: "int32", device: x.device }).reshape(
    sizes,
  );
  let y: Tensor = x.detach();
  const split = (t: Tensor, from: number) => {
    places.forEach((at, d) => t = pick(t, from + d, at.flat()));
    const shape = places.flatMap((at) => [at.length, at[0]?.length ?? 1]);
    const cells = t.reshape([...t.shape.slice(0, from), ...shape]);
    const order = [
      ...Array.from({ length: from }, (_, i) => i),
      ...places.map((_, d) => from + 2 * d),
      ...places.map((_, d) => from + 2 * d + 1),
    ];
    return cells.permute(order).flatten(from + spatial);
  };
  if (product(to) === 0) {
    const shape = [...x.shape.slice(0, lead), ...to];
    return { values: zeros(shape, { dtype: x.dtype }), indices: zeros(shape, { dtype: "int64" }) };
  }
  [plane, y] = [split(plane, 0), split(y, lead)];
  const best = y.argmax(-1, true);
  const indices = plane.expand(y.shape).gather(-1, best).squeeze(-1);
  return { values: planeGather(x, indices, spatial), indices: indices.to("int64") };
}

/** Options of max unpooling. */
export interface MaxUnpoolOptions {
  /** Step between windows; the size of the window by default. */
  readonly stride?: Sizes;
  /** Padding of the pooling; 0 by default. */
  readonly padding?: Sizes;
  /** Sizes of the result, when the geometry leaves a choice. */
  readonly outputSize?: readonly number[];
}

function maxUnpool(
  what: string,
  spatial: number,
  x: Tensor,
  indices: Tensor,
  kernelSize: Sizes,
  options: MaxUnpoolOptions,
): Tensor {
  checkSpatial(what, x, spatial);
  if (text(x.shape) !== text(indices.shape)) {
    throw new TypeError(
      `Cannot apply ${what} to ${text(x.shape)} with indices ${
        text(indices.shape)
      }: shapes must be equal`,
    );
  }
  const kernel = sizesOf(`apply ${what}`, "kernelSize", kernelSize, spatial, 1);
  const stride = sizesOf(`apply ${what}`, "stride", options.stride ?? kernel, spatial, 1);
  const padding = sizesOf(`apply ${what}`, "padding", options.padding ?? 0, spatial, 0);
  const lead = x.shape.slice(0, x.ndim - spatial), grid = x.shape.slice(-spatial);
  const sizes = options.outputSize?.slice(-spatial) ??
    grid.map((n, d) => (n - 1) * stride[d] - 2 * padding[d] + kernel[d]);
  const empty = zeros([...lead, product(sizes)], { dtype: x.dtype, device: x.device });
  const flat = [...lead, product(grid)];
  const y = empty.scatter(-1, indices.reshape(flat), x.detach().reshape(flat));
  // Where windows put two values to one place, both take its gradient, as in PyTorch.
  return y.reshape([...lead, ...sizes]).withGradient([x], (g) => [
    planeGather(g, indices, spatial),
  ]);
}

/**
 * Means over `outputSize` windows that cover `[N, C, L]` evenly.
 * @throws {TypeError} When the rank or the number of sizes does not fit
 * @throws {RangeError} When a size is not a whole number
 */
export function adaptiveAvgPool1d(x: Tensor, outputSize: AdaptiveSizes): Tensor {
  if (isAutocasting()) return underPolicy("adaptiveAvgPool1d", adaptiveAvgPool1d, arguments);
  return adaptiveAvg("adaptiveAvgPool1d", 1, x, outputSize);
}

/**
 * Maxima over `outputSize` windows that cover `[N, C, L]` evenly.
 * @throws {TypeError} When the rank or the number of sizes does not fit
 * @throws {RangeError} When a size is not a whole number
 */
export function adaptiveMaxPool1d(x: Tensor, outputSize: AdaptiveSizes): Tensor {
  return adaptiveMax("adaptiveMaxPool1d", 1, x, outputSize).values;
}

/** {@linkcode adaptiveMaxPool1d} with the places of the maxima. */
export function adaptiveMaxPool1dWithIndices(x: Tensor, outputSize: AdaptiveSizes): PoolResult {
  return adaptiveMax("adaptiveMaxPool1d", 1, x, outputSize);
}

/**
 * Puts maxima back to their places, zeros elsewhere.
 * @param x What max pooling gave, `[N, C, L]`
 * @param indices The places it gave
 * @param kernelSize Size of its windows
 * @param options Stride, padding, outputSize
 * @throws {TypeError} When shapes do not fit
 */
export function maxUnpool1d(
  x: Tensor,
  indices: Tensor,
  kernelSize: Sizes,
  options: MaxUnpoolOptions = {},
): Tensor {
  return maxUnpool("maxUnpool1d", 1, x, indices, kernelSize, options);
}

/**
 * Means over `outputSize` windows that cover `[N, C, H, W]` evenly.
 * @throws {TypeError} When the rank or the number of sizes does not fit
 * @throws {RangeError} When a size is not a whole number
 */
export function adaptiveAvgPool2d(x: Tensor, outputSize: AdaptiveSizes): Tensor {
  if (isAutocasting()) return underPolicy("adaptiveAvgPool2d", adaptiveAvgPool2d, arguments);
  return adaptiveAvg("adaptiveAvgPool2d", 2, x, outputSize);
}

/**
 * Maxima over `outputSize` windows that cover `[N, C, H, W]` evenly.
 * @throws {TypeError} When the rank or the number of sizes does not fit
 * @throws {RangeError} When a size is not a whole number
 */
export function adaptiveMaxPool2d(x: Tensor, outputSize: AdaptiveSizes): Tensor {
  return adaptiveMax("adaptiveMaxPool2d", 2, x, outputSize).values;
}

/** {@linkcode adaptiveMaxPool2d} with the places of the maxima. */
export function adaptiveMaxPool2dWithIndices(x: Tensor, outputSize: AdaptiveSizes): PoolResult {
  return adaptiveMax("adaptiveMaxPool2d", 2, x, outputSize);
}

/**
 * Puts maxima back to their places, zeros elsewhere.
 * @param x What max pooling gave, `[N, C, H, W]`
 * @param indices The places it gave
 * @param kernelSize Size of its windows
 * @param options Stride, padding, outputSize
 * @throws {TypeError} When shapes do not fit
 */
export function maxUnpool2d(
  x: Tensor,
  indices: Tensor,
  kernelSize: Sizes,
  options: MaxUnpoolOptions = {},
): Tensor {
  return maxUnpool("maxUnpool2d", 2, x, indices, kernelSize, options);
}

/**
 * Means over `outputSize` windows that cover `[N, C, D, H, W]` evenly.
 * @throws {TypeError} When the rank or the number of sizes does not fit
 * @throws {RangeError} When a size is not a whole number
 */
export function adaptiveAvgPool3d(x: Tensor, outputSize: AdaptiveSizes): Tensor {
  if (isAutocasting()) return underPolicy("adaptiveAvgPool3d", adaptiveAvgPool3d, arguments);
  return adaptiveAvg("adaptiveAvgPool3d", 3, x, outputSize);
}

/**
 * Maxima over `outputSize` windows that cover `[N, C, D, H, W]` evenly.
 * @throws {TypeError} When the rank or the number of sizes does not fit
 * @throws {RangeError} When a size is not a whole number
 */
export function adaptiveMaxPool3d(x: Tensor, outputSize: AdaptiveSizes): Tensor {
  return adaptiveMax("adaptiveMaxPool3d", 3, x, outputSize).values;
}

/** {@linkcode adaptiveMaxPool3d} with the places of the maxima. */
export function adaptiveMaxPool3dWithIndices(x: Tensor, outputSize: AdaptiveSizes): PoolResult {
  return adaptiveMax("adaptiveMaxPool3d", 3, x, outputSize);
}

/**
 * Puts maxima back to their places, zeros elsewhere.
 * @param x What max pooling gave, `[N, C, D, H, W]`
 * @param indices The places it gave
 * @param kernelSize Size of its windows
 * @param options Stride, padding, outputSize
 * @throws {TypeError} When shapes do not fit
 */
export function maxUnpool3d(
  x: Tensor,
  indices: Tensor,
  kernelSize: Sizes,
  options: MaxUnpoolOptions = {},
): Tensor {
  return maxUnpool("maxUnpool3d", 3, x, indices, kernelSize, options);
}
