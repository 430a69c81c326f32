/** Windows as columns and back, and channels as space. */
import { arange, type Tensor, zeros } from "../../tensor/mod.ts";
import { type Sizes, sizesOf } from "./convolution.ts";

/** Geometry of {@linkcode unfold} and {@linkcode fold}. */
export interface UnfoldOptions {
  /** Distance between the elements of a window; 1 by default. */
  readonly dilation?: Sizes;
  /** Zeros on both sides; 0 by default. */
  readonly padding?: Sizes;
  /** Step between windows; 1 by default. */
  readonly stride?: Sizes;
}

const text = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** The sizes of windows of images. */
export interface UnfoldSizes {
  readonly kernel: number[];
  readonly dilation: number[];
  readonly padding: number[];
  readonly stride: number[];
}

/**
 * The sizes with their defaults; `action` begins the messages: `apply unfold`, `make Unfold`.
 * @throws {TypeError} When there are too many numbers
 * @throws {RangeError} When a number is out of range
 */
export function unfoldSizes(
  action: string,
  kernelSize: Sizes,
  options: UnfoldOptions,
): UnfoldSizes {
  return {
    kernel: sizesOf(action, "kernelSize", kernelSize, 2, 1),
    dilation: sizesOf(action, "dilation", options.dilation ?? 1, 2, 1),
    padding: sizesOf(action, "padding", options.padding ?? 0, 2, 0),
    stride: sizesOf(action, "stride", options.stride ?? 1, 2, 1),
  };
}

/**
 * The size of folded images and the number of windows that they have along each dimension.
 * @throws {TypeError} When there are too many numbers
 * @throws {RangeError} When a number is out of range or a window is larger than the padded image
 */
export function foldSizes(
  action: string,
  outputSize: Sizes,
  { kernel, dilation, padding, stride }: UnfoldSizes,
): { size: number[]; grid: number[] } {
  const size = sizesOf(action, "outputSize", outputSize, 2, 1);
  const grid = size.map((s, d) => {
    const window = dilation[d] * (kernel[d] - 1) + 1, room = s + 2 * padding[d];
    if (window <= room) return Math.floor((room - window) / stride[d]) + 1;
    throw new RangeError(
      `Cannot ${action} with outputSize ${
        text(size)
      }: the padded size ${room} is smaller than the kernel ${window}`,
    );
  });
  return { size, grid };
}

/**
 * Every window as a column.
 *
 * @param x `[N, C, H, W]` or `[C, H, W]`
 * @param kernelSize Size of the windows
 * @param options Dilation, padding, stride
 * @returns `[N, C * KH * KW, windows]`
 * @throws {TypeError} When the rank does not fit
 * @throws {RangeError} When an option is out of range or a window is larger than the padded input
 */
export function unfold(x: Tensor, kernelSize: Sizes, options: UnfoldOptions = {}): Tensor {
  const { kernel, dilation, padding, stride } = unfoldSizes("apply unfold", kernelSize, options);
  if (x.ndim !== 3 && x.ndim !== 4) {
    throw new TypeError(`Cannot unfold ${text(x.shape)}: 3 or 4 dimensions are needed`);
  }
  const input = x.ndim === 3 ? x.unsqueeze(0) : x, [n, c] = input.shape;
  let y = input.pad([padding[1], padding[1], padding[0], padding[0]]);
  [0, 1].forEach((d) => {
    const window = dilation[d] * (kernel[d] - 1) + 1, room = y.shape[d + 2];
    if (window > room) {
      throw new RangeError(
        `Cannot unfold ${
          text(x.shape)
        }: the padded size ${room} is smaller than the kernel ${window}`,
      );
    }
    y = y.unfold(d + 2, window, stride[d]).slice(-1, 0, Infinity, dilation[d]);
  });
  // [N, C, rows, columns, KH, KW]
  const columns = y.permute(0, 1, 4, 5, 2, 3).reshape(
    n,
    c * kernel[0] * kernel[1],
    y.shape[2] * y.shape[3],
  );
  return x.ndim === 3 ? columns.squeeze(0) : columns;
}

/**
 * The image whose windows are the columns; where windows overlap they are added.
 *
 * @param x `[N, C * KH * KW, windows]` or without N
 * @param outputSize `[H, W]`
 * @param kernelSize Size of the windows
 * @param options Dilation, padding, stride
 * @returns `[N, C, H, W]` or without N
 * @throws {TypeError} When rank or sizes do not fit
 * @throws {RangeError} When an option is out of range or a window is larger than the padded image
 */
export function fold(
  x: Tensor,
  outputSize: Sizes,
  kernelSize: Sizes,
  options: UnfoldOptions = {},
): Tensor {
  const sizes = unfoldSizes("apply fold", kernelSize, options);
  const { size, grid } = foldSizes("apply fold", outputSize, sizes);
  const { kernel, dilation, padding, stride } = sizes, window = kernel[0] * kernel[1];
  const fits = (x.ndim === 2 || x.ndim === 3) && x.shape.at(-2)! % window === 0 &&
    x.shape.at(-1) === grid[0] * grid[1];
  if (!fits) {
    throw new TypeError(
      `Cannot fold ${text(x.shape)} to ${text(size)}: it must be [N, C * ${window}, ${
        grid[0] * grid[1]
      }]`,
    );
  }
  const lead = x.shape.slice(0, -2), channels = x.shape.at(-2)! / window;
  const [high, wide] = size.map((s, d) => s + 2 * padding[d]);
  // Places along one dimension, [kernel, grid].
  const [rows, columns] = kernel.map((k, d) => {
    const ramp = (n: number) => arange(n, undefined, 1, { dtype: "int32", device: x.device });
    return ramp(k).mul(dilation[d]).unsqueeze(1).add(ramp(grid[d]).mul(stride[d]));
  });
  // Flat places in the padded plane, [KH, KW, rows, columns].
  const places = rows.mul(wide).reshape(kernel[0], 1, grid[0], 1)
    .add(columns.reshape(1, kernel[1], 1, grid[1]));
  // Sums of half precision are taken in float32.
  const dtype = x.dtype === "float16" || x.dtype === "bfloat16" ? "float32" : x.dtype;
  const values = x.detach().to(dtype).reshape(...lead, channels, places.numel);
  // A product with a selecting weight would turn an infinity of one place into NaN at others.
  const sums = zeros([...lead, channels, high * wide], { dtype, device: x.device })
    .scatterAdd(-1, places.reshape(places.numel).expand(values.shape), values);
  const image = sums.reshape(...lead, channels, high, wide)
    .slice(-2, padding[0], high - padding[0]).slice(-1, padding[1], wide - padding[1]);
  return image.to(x.dtype).withGradient(
    [x],
    (g) => [unfold(g, kernel, { dilation, padding, stride })],
  );
}

/**
 * Channels as space: `[..., C * r * r, H, W]` to `[..., C, H * r, W * r]` (Shi et al., arXiv:1609.05158).
 * @throws {TypeError} When the channels are no multiple of `r * r`
 */
export function pixelShuffle(x: Tensor, upscaleFactor: number): Tensor {
  const r = upscaleFactor;
  if (!Number.isInteger(r) || r < 1 || x.ndim < 3 || x.shape.at(-3)! % (r * r) !== 0) {
    throw new TypeError(
      `Cannot apply pixelShuffle to ${
        text(x.shape)
      } with upscaleFactor ${r}: the channels must be a multiple of ${r * r}`,
    );
  }
  const lead = x.shape.slice(0, -3), [c, h, w] = x.shape.slice(-3), k = lead.length;
  const order = [...lead.keys(), k, k + 3, k + 1, k + 4, k + 2];
  return x.reshape(...lead, c / (r * r), r, r, h, w).permute(order)
    .reshape(...lead, c / (r * r), h * r, w * r);
}

/**
 * Space as channels: `[..., C, H * r, W * r]` to `[..., C * r * r, H, W]`.
 * @throws {TypeError} When the sizes are no multiples of `r`
 */
export function pixelUnshuffle(x: Tensor, downscaleFactor: number): Tensor {
  const r = downscaleFactor;
  const fits = Number.isInteger(r) && r >= 1 && x.ndim >= 3 &&
    x.shape.slice(-2).every((s) => s % r === 0);
  if (!fits) {
    throw new TypeError(
      `Cannot apply pixelUnshuffle to ${
        text(x.shape)
      } with downscaleFactor ${r}: height and width must be multiples of it`,
    );
  }
  const lead = x.shape.slice(0, -3), [c, h, w] = x.shape.slice(-3), k = lead.length;
  const order = [...lead.keys(), k, k + 2, k + 4, k + 1, k + 3];
  return x.reshape(...lead, c, h / r, r, w / r, r).permute(order)
    .reshape(...lead, c * r * r, h / r, w / r);
}

/**
 * Mixes the channels of groups: channel `g * C / groups + i` becomes channel `i * groups + g`.
 * @throws {TypeError} When the groups do not divide the channels
 */
export function channelShuffle(x: Tensor, groups: number): Tensor {
  if (!Number.isInteger(groups) || groups < 1 || x.ndim < 3 || x.shape[1] % groups !== 0) {
    throw new TypeError(
      `Cannot apply channelShuffle to ${
        text(x.shape)
      } with groups ${groups}: they must divide the channels`,
    );
  }
  const [n, c, ...rest] = x.shape;
  return x.reshape(n, groups, c / groups, ...rest).transpose(1, 2).reshape(x.shape);
}
