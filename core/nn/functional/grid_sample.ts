/** Images and volumes read at positions that a grid gives. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { linspace, type Tensor, tensor, where, zeros } from "../../tensor/mod.ts";

/** How a value between elements is made. */
export type GridSampleMode = "bilinear" | "nearest" | "bicubic";

/** What stands outside the elements. */
export type GridPaddingMode = "zeros" | "border" | "reflection";

/** Options of {@linkcode gridSample}. */
export interface GridSampleOptions {
  /** `bilinear` (trilinear in volumes) by default; `bicubic` is for images alone. */
  readonly mode?: GridSampleMode;
  /** `zeros` by default. */
  readonly paddingMode?: GridPaddingMode;
  /** Whether -1 and 1 are the centres of the corner elements and not their outer edges; false by default. */
  readonly alignCorners?: boolean;
}

/** Options of {@linkcode affineGrid}. */
export interface AffineGridOptions {
  /** Whether -1 and 1 are the centres of the corner elements and not their outer edges; false by default. */
  readonly alignCorners?: boolean;
}

/** The elements around a position: the first one's distance from its floor, and each one's weight as a polynomial of the share. */
interface Taps {
  readonly first: number;
  /** `[element][power of the share]`. */
  readonly weights: readonly (readonly number[])[];
}

// Keys' cubic convolution kernel (1981) with a = -0.75, multiplied out for distances 1 + t, t, 1 - t and 2 - t.
const a = -0.75;
const modes: Readonly<Record<GridSampleMode, Taps>> = {
  nearest: { first: 0, weights: [[1]] },
  bilinear: { first: 0, weights: [[1, -1], [0, 1]] },
  bicubic: {
    first: -1,
    weights: [
      [0, a, -2 * a, a],
      [1, 0, -(a + 3), a + 2],
      [0, -a, 2 * a + 3, -(a + 2)],
      [0, 0, a, -a],
    ],
  },
};

/** Clipped to the elements; no gradient flows where it is clipped, the outermost positions included. */
function clip(x: Tensor, size: number): Tensor {
  return where(x.gt(0).logicalAnd(x.lt(size - 1)), x, x.detach().clamp(0, size - 1));
}

/** Mirrored at the centres of the corner elements (alignCorners) or at their outer edges, as often as it takes. */
function reflect(x: Tensor, size: number, align: boolean): Tensor {
  const low = align ? 0 : -0.5, span = align ? size - 1 : size;
  if (span === 0) return x.mul(0);
  const from = x.sub(low), way = where(from.lt(0), from.neg(), from);
  const flips = way.detach().div(span).floor();
  const rest = way.sub(flips.mul(span));
  return where(flips.remainder(2).eq(0), rest, rest.neg().add(span)).add(low);
}

const inside: Readonly<
  Record<GridPaddingMode, (x: Tensor, size: number, align: boolean) => Tensor>
> = {
  // NaN and infinity read outside, where the difference to the element would be no number.
  zeros: (x) => where(x.isfinite(), x, -100),
  border: (x, size) => clip(where(x.isnan(), -100, x), size),
  reflection: (x, size, align) => clip(reflect(where(x.isfinite(), x, -100), size, align), size),
};

const text = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

function checkCall(x: Tensor, grid: Tensor, mode: string, paddingMode: string): void {
  const spatial = x.ndim - 2, call = `Cannot sample ${text(x.shape)} at grid ${text(grid.shape)}`;
  if (!(mode in modes)) {
    throw new RangeError(
      `Cannot sample with mode ${mode}: it must be ${Object.keys(modes).join(", ")}`,
    );
  }
  if (!(paddingMode in inside)) {
    throw new RangeError(
      `Cannot sample with paddingMode ${paddingMode}: it must be ${Object.keys(inside).join(", ")}`,
    );
  }
  const fits = (spatial === 2 || spatial === 3) && grid.ndim === x.ndim &&
    grid.shape[0] === x.shape[0] && grid.shape.at(-1) === spatial;
  if (!fits) {
    throw new TypeError(
      `${call}: they must be [N, C, H, W] and [N, h, w, 2], or [N, C, D, H, W] and [N, d, h, w, 3]`,
    );
  }
  if (x.dtype !== grid.dtype) {
    throw new TypeError(`${call}: dtypes ${x.dtype} and ${grid.dtype} must be equal`);
  }
  if (x.shape.slice(2).includes(0)) throw new TypeError(`${call}: there is no element to read`);
  if (mode === "bicubic" && spatial === 3) {
    throw new RangeError(`${call} with mode bicubic: volumes take bilinear or nearest`);
  }
}

/**
 * Values of `x` at the positions of `grid`, whose last dimension holds (x, y) or (x, y, z), -1 and 1 at the ends.
 * A position that is NaN is outside. Gradients flow to both (to the grid none when nearest).
 *
 * @param x `[N, C, H, W]` or `[N, C, D, H, W]`
 * @param grid `[N, h, w, 2]` or `[N, d, h, w, 3]`, in the dtype of `x`
 * @param options Mode, padding mode, alignCorners
 * @returns `[N, C, h, w]` or `[N, C, d, h, w]`
 * @throws {TypeError} When shapes or dtypes do not fit
 * @throws {RangeError} When a mode is unknown, or is bicubic for a volume
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  if (isAutocasting()) return underPolicy("gridSample", gridSample, arguments);
  const { mode = "bilinear", paddingMode = "zeros", alignCorners = false } = options;
  checkCall(x, grid, mode, paddingMode);
  const spatial = x.ndim - 2, sizes = x.shape.slice(2), { device } = x;
  const [batch, channels] = x.shape, out = grid.shape.slice(1, -1);
  const count = out.reduce((p, n) => p * n, 1), { first, weights } = modes[mode];
  const taps = weights.length, bring = inside[paddingMode];
  let index: Tensor | undefined, weight: Tensor | undefined, valid: Tensor | undefined;
  sizes.forEach((size, d) => {
    // [N, 1, ..., P]: one dimension of taps for each axis, this one's at d + 1.
    const place = [1, ...sizes.map((_, e) => e === d ? taps : 1), 1];
    const shape = [batch, ...sizes.map(() => 1), count];
    const perTap = (values: readonly number[]): Tensor =>
      tensor(Float32Array.from(values), { device }).to(x.dtype).reshape(place);
    const from = grid.select(-1, spatial - 1 - d).reshape(shape).add(1);
    let at = alignCorners ? from.mul((size - 1) / 2) : from.mul(size).sub(1).mul(0.5);
    if (mode !== "bicubic") at = bring(at, size, alignCorners);
    else at = where(at.isfinite(), at, -100);
    const low = mode === "nearest" ? at.detach().round() : at.detach().floor();
    let element = low.add(perTap(weights.map((_, k) => first + k)));
    // A cubic position keeps its share; its sixteen elements are brought inside one by one.
    if (mode === "bicubic" && paddingMode !== "zeros") element = bring(element, size, alignCorners);
    const here = element.ge(0).logicalAnd(element.le(size - 1));
    const flat = where(here, element, 0).to("int32");
    const share = at.sub(low);
    const w = weights[0].map((_, power) => perTap(weights.map((row) => row[power])))
      .reduceRight((sum, c) => sum.mul(share).add(c));
    index = index === undefined ? flat : index.mul(size).add(flat);
    weight = weight === undefined ? w : weight.mul(w);
    valid = valid === undefined ? here : valid.logicalAnd(here);
  });
  const all = taps ** spatial, wide = [batch, channels, all * count];
  const plane = sizes.reduce((p, n) => p * n, 1);
  const perPoint = (t: Tensor) => t.reshape(batch, 1, all, count);
  const read = x.reshape(batch, channels, plane)
    .gather(-1, index!.reshape(batch, 1, all * count).expand(wide))
    .reshape(batch, channels, all, count);
  const seen = where(perPoint(valid!), read, 0);
  const sum = mode === "nearest" ? seen : seen.mul(perPoint(weight!));
  return sum.sum(2).reshape(batch, channels, ...out);
}

/**
 * The grid of {@linkcode gridSample} that moves an image by an affine map: `theta @ (x, y, 1)` for every position of the result.
 *
 * @param theta `[N, 2, 3]` for images, `[N, 3, 4]` for volumes
 * @param size Shape of the result, `[N, C, H, W]` or `[N, C, D, H, W]`
 * @param options alignCorners, as it will be given to gridSample
 * @returns `[N, H, W, 2]` or `[N, D, H, W, 3]`
 * @throws {TypeError} When theta and size do not fit
 * @throws {RangeError} When a size is not a whole number of at least 1
 */
export function affineGrid(
  theta: Tensor,
  size: readonly number[],
  options: AffineGridOptions = {},
): Tensor {
  const spatial = size.length - 2, sizes = size.slice(2);
  const fits = (spatial === 2 || spatial === 3) &&
    text(theta.shape) === text([size[0], spatial, spatial + 1]);
  if (!fits) {
    throw new TypeError(
      `Cannot make an affine grid of size ${text(size)} from theta ${
        text(theta.shape)
      }: they must be [N, C, H, W] and [N, 2, 3], or [N, C, D, H, W] and [N, 3, 4]`,
    );
  }
  if (size.some((n) => !Number.isInteger(n) || n < 1)) {
    throw new RangeError(
      `Cannot make an affine grid of size ${text(size)}: sizes must be whole numbers of at least 1`,
    );
  }
  const { dtype, device } = theta;
  // Coordinates in the order of theta's columns: the last dimension first.
  let grid = theta.select(-1, spatial).reshape(size[0], ...sizes.map(() => 1), spatial);
  sizes.forEach((n, d) => {
    const shape = [1, ...sizes.map((_, e) => e === d ? n : 1), 1];
    const ends = linspace(-1, 1, n, { dtype, device });
    const at = n === 1
      ? zeros([1], { dtype, device })
      : options.alignCorners
      ? ends
      : ends.mul(n - 1).div(n);
    const column = theta.select(-1, spatial - 1 - d);
    grid = grid.add(at.reshape(shape).mul(column.reshape(size[0], ...sizes.map(() => 1), spatial)));
  });
  return grid;
}
