/** Sorting, and what is read off a sorted row: medians, quantiles, the most frequent. */
import { isFloat } from "../dtype.ts";
import { shapeText } from "../shape.ts";
import { CountingTensor } from "./counting.ts";
import { ramp } from "./ramp.ts";
import type { Extremes } from "./reduce.ts";
import { reducedDims, type Rows, rowsOf } from "./reduce_dims.ts";
import { routine } from "./routine.ts";
import type { Tensor } from "./tensor.ts";

/** How a quantile between two elements is made of them. */
export type Interpolation = "linear" | "lower" | "higher" | "midpoint" | "nearest";

/** Options of {@linkcode SortingTensor.quantile}. */
export interface QuantileOptions {
  /** Whether the dimension stays with size 1. */
  readonly keepdim?: boolean;
  /** How a quantile between two elements is made of them; `linear` by default. */
  readonly interpolation?: Interpolation;
}

/** The first `count` (or all) places that sort rows, int32. int64 travels as float64, which holds whole numbers up to 2^53. */
function order(rows: Tensor, descending: boolean, count?: number): Tensor {
  const exact = rows.dtype === "int64" ? rows.to("float64") : rows;
  const shape = count === undefined ? rows.shape : [...rows.shape.slice(0, -1), count];
  return routine("argsort", { descending }, [exact], shape, "int32");
}

/** Values at the places of rows, and the places, turned back; one place a row loses the dimension unless it is kept. */
function taken({ rows, dim, back }: Rows, places: Tensor, keepdim = true): Extremes {
  const [values, indices] = [rows.gather(-1, places), places.to("int64")].map(back);
  return keepdim || values.ndim === 0
    ? { values, indices }
    : { values: values.squeeze(dim), indices: indices.squeeze(dim) };
}

/** Operations on sorted rows. Sorts are stable, and NaN is the largest number. */
export abstract class SortingTensor extends CountingTensor {
  /**
   * Sorted elements along a dimension, and where they were.
   * @throws {RangeError} When the dimension does not exist
   */
  sort(dim = -1, descending = false): Extremes {
    const r = rowsOf(this.self, dim, "sort");
    return taken(r, order(r.rows, descending));
  }
  /** Places that sort a dimension, int64. */
  argsort(dim = -1, descending = false): Tensor {
    const { rows, back } = rowsOf(this.self, dim, "sort");
    return back(order(rows, descending).to("int64"));
  }
  /** Sorted elements along the first dimension. */
  msort(): Tensor {
    return this.sort(0).values;
  }
  /**
   * The `k` largest (or smallest) elements along a dimension in order, and where they were.
   * @throws {RangeError} When the dimension has fewer
   */
  topk(k: number, dim = -1, largest = true): Extremes {
    const r = rowsOf(this.self, dim, "take the top");
    const size = r.rows.shape[r.rows.ndim - 1];
    if (!Number.isInteger(k) || k < 0 || k > size) {
      throw new RangeError(
        `Cannot take the top ${k} of ${shapeText(this.shape)} at dim ${dim}: it has ${size}`,
      );
    }
    return taken(r, order(r.rows, largest, k));
  }
  /**
   * The `k`-th smallest element along a dimension (1 is the smallest), and where it was.
   * @throws {RangeError} When the dimension has fewer
   */
  kthvalue(k: number, dim = -1, keepdim = false): Extremes {
    const r = rowsOf(this.self, dim, "take the k-th value");
    const size = r.rows.shape[r.rows.ndim - 1];
    if (!Number.isInteger(k) || k < 1 || k > size) {
      throw new RangeError(
        `Cannot take value number ${k} of ${shapeText(this.shape)} at dim ${dim}: it has ${size}`,
      );
    }
    return taken(r, order(r.rows, false, k).slice(-1, k - 1, k), keepdim);
  }

  /** The lower of the two middle elements of all; NaN wins; a gradient is shared among equals. */
  median(): Tensor;
  /** The lower of the two middle elements along a dimension, and where it was; NaN wins. */
  median(dim: number, keepdim?: boolean): Extremes;
  median(dim?: number, keepdim = false): Tensor | Extremes {
    return dim === undefined
      ? this.middleOfAll((flat) => flat.median(0).values)
      : this.middle("median", dim, keepdim, (nans, size) =>
        nans.gt(0).where(nans.neg().add(size), (size - 1) >> 1));
  }
  /** The median of all elements that are not NaN; a gradient is shared among equals. */
  nanmedian(): Tensor;
  /** The median along a dimension of the elements that are not NaN, and where it was. */
  nanmedian(dim: number, keepdim?: boolean): Extremes;
  nanmedian(dim?: number, keepdim = false): Tensor | Extremes {
    return dim === undefined
      ? this.middleOfAll((flat) => flat.nanmedian(0).values)
      : this.middle("nanmedian", dim, keepdim, (nans, size) =>
        nans.neg().add(size - 1).clamp({ min: 0 }).bitwiseRightShift(1));
  }
  /** The element whose place in the sorted row `rank` says, given the number of NaN. */
  private middle(
    action: string,
    dim: number,
    keepdim: boolean,
    rank: (nans: Tensor, size: number) => Tensor,
  ): Extremes {
    const r = rowsOf(this.self, dim, action), size = r.rows.shape[r.rows.ndim - 1];
    if (size === 0) {
      throw new RangeError(
        `Cannot take the ${action} of ${shapeText(this.shape)}: there are no elements`,
      );
    }
    const nans = r.rows.isnan().sum(-1, true, { dtype: "int32" });
    return taken(r, order(r.rows, false).gather(-1, rank(nans, size)), keepdim);
  }
  /** A middle of all elements, whose gradient is shared among equals. */
  private middleOfAll(middle: (flat: Tensor) => Tensor): Tensor {
    const x = this.self, flat = x.detach().reshape(this.numel);
    if (this.numel === 0) return middle(flat);
    return middle(flat).withGradient([x], (g, y) => {
      const hit = x.eq(y).logicalOr(x.isnan().logicalAnd(y.isnan())).to(x.dtype);
      return [hit.mul(g.div(hit.sum()))];
    });
  }

  /**
   * The most frequent element along a dimension, the smallest of several, and the last place where it is.
   * @throws {RangeError} When the dimension is empty
   */
  mode(dim = -1, keepdim = false): Extremes {
    const r = rowsOf(this.self, dim, "mode"), size = r.rows.shape[r.rows.ndim - 1];
    if (size === 0) {
      throw new RangeError(
        `Cannot take the mode of ${shapeText(this.shape)}: there are no elements`,
      );
    }
    const places = order(r.rows.detach(), false), sorted = r.rows.detach().gather(-1, places);
    const at = ramp(size, this.device).expand(sorted.shape);
    // A run of equals begins where the element before is another; its length so far is the distance from there.
    const fresh = sorted.slice(-1, 1).ne(sorted.slice(-1, 0, size - 1)).to("int32").pad([1, 0]);
    const begin = routine("scan", { op: "max" }, [fresh.mul(at)], sorted.shape, "int32");
    return taken(r, places.gather(-1, at.sub(begin).argmax(-1, true)), keepdim);
  }

  /**
   * Quantiles of all elements or along a dimension; NaN in a row gives NaN.
   *
   * @param q Probabilities from 0 to 1: a number, or a tensor of at most one dimension, which then comes first in the result
   * @param dim Dimension; all elements by default
   * @throws {RangeError} When `q` lies outside, or there are no elements
   * @throws {TypeError} When the dtype is no float or `q` has more dimensions
   */
  quantile(q: number | Tensor, dim?: number, options: QuantileOptions = {}): Tensor {
    return this.quantiles(q, dim, options, false);
  }
  /** Quantiles of the elements that are not NaN; see {@linkcode SortingTensor.quantile}. */
  nanquantile(q: number | Tensor, dim?: number, options: QuantileOptions = {}): Tensor {
    return this.quantiles(q, dim, options, true);
  }
  /** Quantiles of rows, with or without NaN. */
  private quantiles(
    q: number | Tensor,
    dim: number | undefined,
    { keepdim = false, interpolation = "linear" }: QuantileOptions,
    skipNan: boolean,
  ): Tensor {
    const probabilities = checkedQuantile(this.self, q);
    const whole = dim === undefined ? this.reshape(this.numel) : this.self;
    const { rows, dim: d } = rowsOf(whole, dim ?? 0, "take quantiles");
    const size = rows.shape[rows.ndim - 1];
    if (size === 0) {
      throw new RangeError(
        `Cannot take quantiles of ${shapeText(this.shape)}: there are no elements`,
      );
    }
    const sorted = rows.gather(-1, order(rows.detach(), false));
    const nan = sorted.detach().isnan();
    const last = skipNan
      ? nan.logicalNot().sum(-1, true).to(this.dtype).sub(1).clamp({ min: 0 })
      : size - 1;
    const ranks = probabilities.reshape(probabilities.numel).mul(last).expand([
      ...rows.shape.slice(0, -1),
      probabilities.numel,
    ]);
    const found = interpolated(sorted, ranks, interpolation);
    const row = skipNan ? found : nan.any(-1, true).where(NaN, found);
    // The quantiles stand where the dimension was; they go to the front, or away when there is one.
    const kept = row.movedim(-1, 0);
    const rest = dim === undefined
      ? (keepdim ? this.shape.map(() => 1) : [])
      : keepdim
      ? this.shape.map((s, i) => i === d ? 1 : s)
      : this.shape.filter((_, i) => i !== d);
    const turned = dim === undefined || this.ndim < 2 || d === this.ndim - 1
      ? kept
      : kept.unsqueeze(-1).transpose(d + 1, -1).squeeze(d + 1);
    return turned.reshape([...probabilities.shape, ...rest]);
  }
}

const roundings: Readonly<Record<Interpolation, (ranks: Tensor) => Tensor>> = {
  linear: (r) => r.floor(),
  midpoint: (r) => r.floor(),
  lower: (r) => r.floor(),
  higher: (r) => r.ceil(),
  nearest: (r) => r.round(),
};

/** Elements of sorted rows at fractional ranks. */
function interpolated(sorted: Tensor, ranks: Tensor, interpolation: Interpolation): Tensor {
  const below = roundings[interpolation](ranks.detach());
  const low = sorted.gather(-1, below.to("int32"));
  if (interpolation !== "linear" && interpolation !== "midpoint") return low;
  const high = sorted.gather(-1, ranks.detach().ceil().to("int32"));
  return low.lerp(high, interpolation === "linear" ? ranks.sub(below) : 0.5);
}

/** Probabilities as a tensor beside `x`. */
function checkedQuantile(x: Tensor, q: number | Tensor): Tensor {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`Cannot take quantiles of ${x.dtype}: cast to a float dtype first`);
  }
  if (typeof q === "number") {
    if (!(q >= 0 && q <= 1)) {
      throw new RangeError(`Cannot take quantile ${q}: probabilities lie between 0 and 1`);
    }
    return ramp(1, x.device).reshape([]).to(x.dtype).add(q);
  }
  reducedDims(undefined, q.ndim, "quantile");
  if (q.ndim > 1 || q.dtype !== x.dtype) {
    throw new TypeError(
      `Cannot take quantiles ${q.describe()} of ${x.describe()}: a scalar or vector of that dtype is needed`,
    );
  }
  return q;
}
