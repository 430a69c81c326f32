/** Max pooling. */
import type { PoolParams } from "../../device.ts";
import { reduceStart } from "../../meaning.ts";
import { routine, type Tensor, tensor } from "../../tensor/mod.ts";
import { type Sizes, sizesOf } from "./convolution.ts";

/** Options of max pooling. */
export interface MaxPoolOptions {
  /** Step between windows; the size of the window by default. */
  readonly stride?: Sizes;
  /** Elements of minus infinity on both sides, at most half a window; 0 by default. */
  readonly padding?: Sizes;
  /** Distance between the elements of a window; 1 by default. */
  readonly dilation?: Sizes;
  /** Whether windows may hang over the far side; false by default. */
  readonly ceilMode?: boolean;
}

/** Values and their places, flat in the plane (int64). */
export interface PoolResult {
  /** The largest elements. */
  readonly values: Tensor;
  /** Where they lie. */
  readonly indices: Tensor;
}

const text = (shape: readonly number[]): string => `[${shape.join(", ")}]`;
const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1);

/** @throws {TypeError} When there are neither `spatial + 1` nor `spatial + 2` dimensions */
export function checkSpatial(what: string, x: Tensor, spatial: number): void {
  if (x.ndim === spatial + 1 || x.ndim === spatial + 2) return;
  throw new TypeError(
    `Cannot apply ${what} to ${text(x.shape)}: ${spatial + 1} or ${
      spatial + 2
    } dimensions are needed`,
  );
}

/** The sizes of windows over the last dimensions. */
export interface WindowSizes {
  readonly kernel: number[];
  readonly stride: number[];
  readonly padding: number[];
  readonly dilation: number[];
}

/** Windows over an input. */
export interface Windows extends WindowSizes {
  /** Number of windows along each dimension. */
  readonly grid: number[];
}

/**
 * Reads the sizes of windows; `action` begins the messages: `apply maxPool2d`, `make MaxPool2d`.
 * @throws {TypeError} When there are too many numbers
 * @throws {RangeError} When a number is out of range
 */
export function windowSizes(
  action: string,
  spatial: number,
  kernelSize: Sizes,
  options: MaxPoolOptions,
): WindowSizes {
  const kernel = sizesOf(action, "kernelSize", kernelSize, spatial, 1);
  const stride = sizesOf(action, "stride", options.stride ?? kernel, spatial, 1);
  const padding = sizesOf(action, "padding", options.padding ?? 0, spatial, 0);
  const dilation = sizesOf(action, "dilation", options.dilation ?? 1, spatial, 1);
  return { kernel, stride, padding, dilation };
}

/** @throws {RangeError} When a padding is more than half of its window */
export function checkPadding(action: string, { kernel, padding }: WindowSizes): void {
  if (padding.every((p, d) => p <= kernel[d] / 2)) return;
  throw new RangeError(
    `Cannot ${action} with padding ${text(padding)}: it must be at most half of kernelSize ${
      text(kernel)
    }`,
  );
}

/**
 * Reads the geometry of pooling.
 * @throws {TypeError} When ranks do not fit
 * @throws {RangeError} When an option is out of range
 */
export function windowsOf(
  what: string,
  spatial: number,
  x: Tensor,
  kernelSize: Sizes,
  options: MaxPoolOptions,
): Windows {
  checkSpatial(what, x, spatial);
  const windows = windowSizes(`apply ${what}`, spatial, kernelSize, options);
  checkPadding(`apply ${what}`, windows);
  const { kernel, stride, padding, dilation } = windows;
  const grid = kernel.map((k, d) => {
    const size = x.shape[x.ndim - spatial + d], s = stride[d], p = padding[d];
    const room = size + 2 * p - dilation[d] * (k - 1) - 1;
    let n = Math.floor((room + (options.ceilMode ? s - 1 : 0)) / s) + 1;
    // The last window must begin inside the input or the near padding.
    if (options.ceilMode && (n - 1) * s >= size + p) n--;
    if (n < 1) {
      throw new RangeError(
        `Cannot apply ${what} to ${text(x.shape)} with kernelSize ${
          text(kernel)
        }: it is larger than the padded input`,
      );
    }
    return n;
  });
  return { ...windows, grid };
}

/** Elements of planes at flat places; the gradient goes back to these. `windows` says that each place lies in its own window. */
export function planeGather(
  x: Tensor,
  indices: Tensor,
  spatial: number,
  windows?: PoolParams,
): Tensor {
  const lead = x.shape.slice(0, x.ndim - spatial), plane = product(x.shape.slice(-spatial));
  const grid = indices.shape.slice(-spatial);
  const values = x.detach().reshape([...lead, plane]).gather(
    -1,
    indices.reshape([...lead, product(grid)]),
  );
  return values.reshape([...lead, ...grid]).withGradient([x], (g) => [
    planeScatter(g, indices, x.shape, spatial, windows),
  ]);
}

/** Sums over the places of windows, into planes. */
function planeScatter(
  g: Tensor,
  indices: Tensor,
  shape: readonly number[],
  spatial: number,
  windows?: PoolParams,
): Tensor {
  const params = { spatialDims: spatial, ...(windows && { windows }) };
  return routine("poolScatter", params, [g, indices], shape, g.dtype)
    .withGradient([g], (gg) => [planeGather(gg, indices, spatial, windows)]);
}

/** Where windows hold an element of the input, `[...grid]`, or undefined when all do: dilated ones may hold padding alone. */
function occupied(x: Tensor, { kernel, stride, padding, dilation, grid }: Windows) {
  const spatial = kernel.length;
  const along = grid.map((n, d) => {
    const size = x.shape[x.ndim - spatial + d];
    return Array.from({ length: n }, (_, i) => {
      const start = i * stride[d] - padding[d];
      // The first element at or after the near border.
      const first = start + Math.max(0, Math.ceil(-start / dilation[d])) * dilation[d];
      return first < size && first <= start + (kernel[d] - 1) * dilation[d];
    });
  });
  if (along.every((list) => list.every(Boolean))) return undefined;
  return along.map((list, d) =>
    tensor(list.map(Number), { dtype: "bool", device: x.device })
      .reshape(grid.map((n, e) => e === d ? n : 1))
  ).reduce((a, b) => a.logicalAnd(b));
}

function maxPool(
  what: string,
  spatial: number,
  x: Tensor,
  kernelSize: Sizes,
  options: MaxPoolOptions,
): PoolResult {
  const windows = windowsOf(what, spatial, x, kernelSize, options), { grid, ...params } = windows;
  const shape = [...x.shape.slice(0, x.ndim - spatial), ...grid];
  const found = routine("maxPool", params, [x], shape, "int32"), some = occupied(x, windows);
  const indices = some?.where(found, 0) ?? found;
  // A window of padding alone has its place set to 0, which lies in none.
  const values = planeGather(x, indices, spatial, some === undefined ? params : undefined);
  return {
    values: some?.where(values, reduceStart("max", x.dtype)) ?? values,
    indices: indices.to("int64"),
  };
}

/**
 * The largest element of each window of `[N, C, L]` (or without N); NaN wins, the first of equals takes the gradient. A window that holds
 * padding alone gives minus infinity, without a gradient; its place is given as 0.
 *
 * @param x The input
 * @param kernelSize Size of the windows
 * @param options Stride, padding, dilation, ceilMode
 * @returns The maxima, `floor((size + 2 padding - dilation (kernelSize - 1) - 1) / stride) + 1` along each dimension
 * @throws {TypeError} When the rank does not fit
 * @throws {RangeError} When an option is out of range or a window is larger than the padded input
 */
export function maxPool1d(x: Tensor, kernelSize: Sizes, options: MaxPoolOptions = {}): Tensor {
  return maxPool("maxPool1d", 1, x, kernelSize, options).values;
}

/** {@linkcode maxPool1d} with the places of the maxima. */
export function maxPool1dWithIndices(
  x: Tensor,
  kernelSize: Sizes,
  options: MaxPoolOptions = {},
): PoolResult {
  return maxPool("maxPool1d", 1, x, kernelSize, options);
}

/** {@linkcode maxPool1d} of `[N, C, H, W]`. */
export function maxPool2d(x: Tensor, kernelSize: Sizes, options: MaxPoolOptions = {}): Tensor {
  return maxPool("maxPool2d", 2, x, kernelSize, options).values;
}

/** {@linkcode maxPool2d} with the places of the maxima. */
export function maxPool2dWithIndices(
  x: Tensor,
  kernelSize: Sizes,
  options: MaxPoolOptions = {},
): PoolResult {
  return maxPool("maxPool2d", 2, x, kernelSize, options);
}

/** {@linkcode maxPool1d} of `[N, C, D, H, W]`. */
export function maxPool3d(x: Tensor, kernelSize: Sizes, options: MaxPoolOptions = {}): Tensor {
  return maxPool("maxPool3d", 3, x, kernelSize, options).values;
}

/** {@linkcode maxPool3d} with the places of the maxima. */
export function maxPool3dWithIndices(
  x: Tensor,
  kernelSize: Sizes,
  options: MaxPoolOptions = {},
): PoolResult {
  return maxPool("maxPool3d", 3, x, kernelSize, options);
}
