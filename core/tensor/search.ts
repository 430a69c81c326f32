/** Places of values in sorted rows, and histograms. */
import { type DType, isFloat, promote } from "../dtype.ts";
import { constNode } from "../node.ts";
import { numel, sameShape, shapeText } from "../shape.ts";
import { hostNode, wrap } from "./base.ts";
import { routine } from "./routine.ts";
import type { Tensor } from "./tensor.ts";

/** Options of {@linkcode searchsorted} and {@linkcode bucketize}. */
export interface SearchOptions {
  /** Whether places come after equal elements; before them by default. */
  readonly right?: boolean;
  /** Whether places are int32; int64 by default. */
  readonly outInt32?: boolean;
}

/** Whole numbers beyond 32 bits travel as float64. */
function searchDtype(a: DType, b: DType): DType {
  const dtype = promote(a, b);
  return dtype === "int64" ? "float64" : dtype;
}

/**
 * Where each value has to be put into ascending rows to keep them ascending.
 *
 * @param sorted `[..., n]` in ascending order, or by `sorter`; a vector serves all values
 * @param values `[..., m]` with the leading sizes of `sorted`, any shape beside a vector, or a number
 * @param options Sides, dtype, and `sorter`, the places that sort the rows
 * @returns Places from 0 to n, in the shape of `values`
 * @throws {TypeError} When shapes do not fit
 */
export function searchsorted(
  sorted: Tensor,
  values: Tensor | number,
  options: SearchOptions & { side?: "left" | "right"; sorter?: Tensor } = {},
): Tensor {
  const { right = false, side, sorter, outInt32 = false } = options;
  if (side === "left" && options.right === true) {
    throw new RangeError('Cannot search with side "left" and right: they contradict each other');
  }
  const x = typeof values === "number"
    ? wrap(constNode(values, [], sorted.dtype, sorted.device))
    : values;
  const rows = sorted.ndim > 1 && sameShape(sorted.shape.slice(0, -1), x.shape.slice(0, -1)) &&
    x.ndim === sorted.ndim;
  if (sorted.ndim === 0 || (sorted.ndim > 1 && !rows)) {
    throw new TypeError(
      `Cannot search ${shapeText(x.shape)} in rows of ${
        shapeText(sorted.shape)
      }: leading sizes must be equal, or the rows one vector`,
    );
  }
  if (sorter !== undefined && !sameShape(sorter.shape, sorted.shape)) {
    throw new TypeError(
      `Cannot sort ${shapeText(sorted.shape)} by places of shape ${
        shapeText(sorter.shape)
      }: shapes must be equal`,
    );
  }
  const out = outInt32 ? "int32" : "int64";
  if (numel(x.shape) === 0 || numel(sorted.shape) === 0) {
    return wrap(constNode(0, x.shape, out, x.device));
  }
  const dtype = searchDtype(sorted.dtype, x.dtype);
  const inOrder = sorter === undefined ? sorted : sorted.gather(-1, sorter);
  const params = { right: right || side === "right" };
  return routine("search", params, [inOrder.to(dtype), x.to(dtype)], x.shape, "int32").to(out);
}

/**
 * The bin of each value among ascending `boundaries`: `boundaries[i - 1] < value <= boundaries[i]`, or with `right`
 * `boundaries[i - 1] <= value < boundaries[i]`.
 *
 * @param values Any shape, or a number
 * @param boundaries `[n]`, ascending
 * @param options Side and dtype
 * @returns Bins from 0 to n, in the shape of `values`
 * @throws {TypeError} When the boundaries are no vector
 */
export function bucketize(
  values: Tensor | number,
  boundaries: Tensor,
  options: SearchOptions = {},
): Tensor {
  if (boundaries.ndim !== 1) {
    throw new TypeError(
      `Cannot put values into bins of ${shapeText(boundaries.shape)}: a vector is needed`,
    );
  }
  return searchsorted(boundaries, values, options);
}

/** Options of histograms. */
export interface HistogramOptions {
  /** Lower and upper end of each dimension, flat; the smallest and largest value by default. */
  readonly range?: readonly number[];
  /** How much each point counts, in the leading shape of the points. */
  readonly weight?: Tensor;
  /** Whether to divide by the total and the volume of each bin, so that the integral is 1. */
  readonly density?: boolean;
}

/** `bins` bins of equal width. Without a range the ends are read off the data. */
function evenEdges(x: Tensor, bins: number, range?: readonly number[]): Tensor {
  if (!Number.isInteger(bins) || bins < 1) {
    throw new RangeError(`Cannot make a histogram of ${bins} bins: at least 1 is needed`);
  }
  let [low, high] = range ?? (x.numel > 0 ? [x.amin().item(), x.amax().item()] : [0, 1]);
  if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) {
    throw new RangeError(
      `Cannot make a histogram from ${low} to ${high}: a finite range is needed`,
    );
  }
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  // From both ends, so that both are exact.
  const step = (high - low) / bins;
  const edges = Float64Array.from(
    { length: bins + 1 },
    (_, i) => i <= bins / 2 ? low + step * i : high - step * (bins - i),
  );
  return wrap(hostNode(edges, [bins + 1], "float64", x.device)).to(x.dtype);
}

/**
 * Counts of points in a grid of bins. A bin holds its lower edge, the last also its upper edge; points outside and NaN are not counted.
 *
 * @param x Points `[..., dimensions]` of a float dtype
 * @param bins How many bins along each dimension (then the data may be read for their ends), or the edges
 * @param options Range, weights, density
 * @returns `hist`, one size for each dimension, and `binEdges`
 * @throws {TypeError} When the dtype is no float or the bins do not fit the dimensions
 * @throws {RangeError} When there is no bin or the range is not finite
 */
export function histogramdd(
  x: Tensor,
  bins: number | readonly number[] | readonly Tensor[],
  options: HistogramOptions = {},
): { hist: Tensor; binEdges: Tensor[] } {
  const { range, weight, density = false } = options;
  if (!isFloat(x.dtype) || x.ndim < 2) {
    throw new TypeError(
      `Cannot make a histogram of ${x.describe()}: float points [..., dimensions] are needed`,
    );
  }
  const dims = x.shape[x.ndim - 1], count = numel(x.shape.slice(0, -1));
  const list = typeof bins === "number" ? new Array<number>(dims).fill(bins) : bins;
  if (list.length !== dims || (range !== undefined && range.length !== 2 * dims)) {
    throw new TypeError(
      `Cannot make a histogram of ${dims} dimensions with ${list.length} bins and ${
        (range?.length ?? 2 * dims) / 2
      } ranges`,
    );
  }
  const points = x.detach().reshape(count, dims);
  const columns = list.map((_, d) => points.select(1, d));
  const binEdges = list.map((b, d) =>
    typeof b === "number" ? evenEdges(columns[d], b, range?.slice(2 * d, 2 * d + 2)) : b
  );
  const sizes = binEdges.map((e) => e.numel - 1);
  const zeros = wrap(constNode(0, [numel(sizes)], x.dtype, x.device));
  let hist = zeros;
  if (count > 0) {
    let place: Tensor | undefined, inside: Tensor | undefined;
    columns.forEach((column, d) => {
      const edges = binEdges[d], size = sizes[d];
      const within = column.ge(edges.select(0, 0)).logicalAnd(column.le(edges.select(0, size)));
      const bin = searchsorted(edges, column, { right: true, outInt32: true }).sub(1)
        .clamp({ min: 0, max: size - 1 });
      place = place === undefined ? bin : place.mul(size).add(bin);
      inside = inside === undefined ? within : inside.logicalAnd(within);
    });
    const share = weight === undefined ? inside!.to(x.dtype) : inside!.where(
      weight.detach().to(x.dtype).reshape(count),
      wrap(constNode(0, [], x.dtype, x.device)),
    );
    hist = zeros.scatterAdd(0, place!, share);
  }
  hist = hist.reshape(sizes);
  if (density) {
    const total = hist.sum();
    hist = binEdges.reduce(
      (h, e, d) => h.div(e.diff().reshape(sizes.map((s, i) => i === d ? s : 1))),
      hist.div(total),
    );
  }
  return { hist, binEdges };
}

/**
 * Counts of all elements in bins; see {@linkcode histogramdd}.
 *
 * @param x Any shape, of a float dtype
 * @param bins How many bins (then the data may be read for their ends), or the edges
 * @param options Range, weights in the shape of `x`, density
 * @returns `hist` `[bins]` and `binEdges` `[bins + 1]`
 * @throws {TypeError} When the dtype is no float
 * @throws {RangeError} When there is no bin or the range is not finite
 */
export function histogram(
  x: Tensor,
  bins: number | Tensor,
  options: HistogramOptions = {},
): { hist: Tensor; binEdges: Tensor } {
  const list = typeof bins === "number" ? [bins] : [bins];
  const { hist, binEdges } = histogramdd(
    x.reshape(x.numel, 1),
    list as number[] | Tensor[],
    options,
  );
  return { hist, binEdges: binEdges[0] };
}
