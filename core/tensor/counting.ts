/** Distinct elements, places of non-zeros and counts. Shapes of results depend on the data, which these methods read. */
import { type DType, isFloat } from "../dtype.ts";
import { constNode } from "../node.ts";
import { normalizeDim, numel, type Shape, shapeText } from "../shape.ts";
import { wrap } from "./base.ts";
import { DifferenceTensor } from "./difference.ts";
import { hostIndex } from "./ramp.ts";
import type { Tensor } from "./tensor.ts";

/** Distinct elements or slices. */
export interface Distinct {
  /** The distinct elements `[count]`, or slices along the dimension. */
  readonly output: Tensor;
  /** Where in `output` each element (or slice) is, int64. */
  readonly inverseIndices: Tensor;
  /** How often each is there, int64. */
  readonly counts: Tensor;
}

/** Distinct neighbours in an order: first place of each, number of each place, counts. */
interface Groups {
  readonly firsts: number[];
  readonly inverse: Int32Array;
  readonly counts: number[];
}

/** Groups equal neighbours of `order`. */
function grouped(order: ArrayLike<number>, same: (a: number, b: number) => boolean): Groups {
  const firsts: number[] = [], counts: number[] = [], inverse = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) {
    if (i === 0 || !same(order[i - 1], order[i])) {
      firsts.push(order[i]);
      counts.push(0);
    }
    counts[counts.length - 1]++;
    inverse[order[i]] = counts.length - 1;
  }
  return { firsts, inverse, counts };
}

/** Whole numbers of 32 bits from the host as int64; the device widens them. */
function hostInt64(values: ArrayLike<number>, device: string, shape: Shape): Tensor {
  return hostIndex(values, device, { shape }).to("int64");
}

const upTo = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);

/** Elements as numbers; int64 as float64. */
function hostNumbers(x: Tensor): ArrayLike<number> {
  return (x.dtype === "int64" || x.dtype === "bfloat16" ? x.to("float64") : x)
    .data() as ArrayLike<number>;
}

/** Operations whose results have a size that depends on the data. */
export abstract class CountingTensor extends DifferenceTensor {
  /**
   * Distinct elements in ascending order, or distinct slices along a dimension in lexicographic order. Reads the data.
   * @throws {RangeError} When the dimension does not exist, or slices along it are empty
   */
  unique(options: { dim?: number } = {}): Distinct {
    return this.distinct(options.dim, true);
  }
  /** Like {@linkcode CountingTensor.unique}, but only equal neighbours become one. Reads the data. */
  uniqueConsecutive(options: { dim?: number } = {}): Distinct {
    return this.distinct(options.dim, false);
  }
  /** Distinct elements or slices; those that are not sorted are compared with their neighbours alone. */
  private distinct(dim: number | undefined, sorted: boolean): Distinct {
    const action = "take distinct slices";
    const flat = dim === undefined || this.ndim === 0;
    const d = flat ? 0 : normalizeDim(dim, this.ndim, action);
    const x = flat ? this.reshape(this.numel) : this.self, count = x.shape[d];
    if (!flat && this.shape.some((s, i) => s === 0 && i !== d)) {
      throw new RangeError(
        `Cannot ${action} of ${shapeText(this.shape)} along dim ${dim}: they are empty`,
      );
    }
    const { firsts, inverse, counts } = x.ndim === 1
      ? elementGroups(x, sorted)
      : sliceGroups(x.movedim(d, 0).reshape(count, x.numel / Math.max(1, count)), sorted);
    return {
      output: x.indexSelect(d, hostIndex(firsts, x.device)),
      inverseIndices: hostInt64(inverse, x.device, flat ? this.shape : [count]),
      counts: hostInt64(counts, x.device, [counts.length]),
    };
  }

  /** Places of the elements that are not zero, in row-major order: int64 `[count, dimensions]`. Reads the data. */
  nonzero(options?: { asTuple?: false }): Tensor;
  /** The same as one int64 `[count]` for each dimension, ready for indexing; a scalar counts as a vector. */
  nonzero(options: { asTuple: true }): Tensor[];
  nonzero(options: { asTuple?: boolean } = {}): Tensor | Tensor[] {
    if (options.asTuple === true) {
      const whole = this.ndim === 0 ? this.reshape(1) : this.self;
      const places = nonzeroPlaces(whole);
      const count = places.length / whole.ndim;
      return whole.shape.map((_, d) =>
        hostInt64(upTo(count).map((i) => places[i * whole.ndim + d]), this.device, [count])
      );
    }
    const places = nonzeroPlaces(this.self), rank = this.ndim;
    const count = rank > 0 ? places.length / rank : Number(this.self.any().item());
    return hostInt64(places, this.device, [count, rank]);
  }
  /** Alias of {@linkcode CountingTensor.nonzero}. Reads the data. */
  argwhere(): Tensor {
    return this.nonzero();
  }
  /** The first `size` places of {@linkcode CountingTensor.nonzero}, filled up with `fillValue`. Reads the data. */
  nonzeroStatic(size: number, fillValue = -1): Tensor {
    if (!Number.isInteger(size) || size < 0) {
      throw new RangeError(`Cannot take ${size} places: the number is whole and not negative`);
    }
    const places = nonzeroPlaces(this.self), length = size * this.ndim;
    const padded = Int32Array.from(
      { length },
      (_, i) => i < places.length ? places[i] : fillValue,
    );
    return hostInt64(padded, this.device, [size, this.ndim]);
  }

  /**
   * How often each whole number is there, or the sum of the weights where it is. Reads the largest number.
   *
   * @param options `weights` of the same shape, and the least length `minlength`
   * @returns `[max(minlength, largest + 1)]`, int64 or the dtype of the weights
   * @throws {TypeError} When this is no vector of integers or the weights do not fit
   * @throws {RangeError} When a number is negative
   */
  bincount(options: { weights?: Tensor; minlength?: number } = {}): Tensor {
    const { weights, minlength = 0 } = options;
    if (this.ndim !== 1 || isFloat(this.dtype) || this.dtype === "bool") {
      throw new TypeError(`Cannot count ${this.describe()}: a vector of integers is needed`);
    }
    if (weights !== undefined && (weights.ndim !== 1 || weights.numel !== this.numel)) {
      throw new TypeError(
        `Cannot weigh ${shapeText(this.shape)} by ${shapeText(weights.shape)}: one each is needed`,
      );
    }
    if (!Number.isInteger(minlength) || minlength < 0) {
      throw new RangeError(`Cannot count into ${minlength} places: give a whole number from 0`);
    }
    let top = -1;
    for (const v of Array.from(hostNumbers(this.self))) {
      if (v < 0) throw new RangeError(`Cannot count ${v}: numbers must not be negative`);
      if (v > top) top = v;
    }
    const dtype: DType = weights === undefined
      ? "int64"
      : weights.dtype === "float32"
      ? "float32"
      : "float64";
    const zeros = wrap(constNode(0, [Math.max(minlength, top + 1)], dtype, this.device));
    if (this.numel === 0) return zeros;
    const ones = wrap(constNode(1, this.shape, dtype, this.device));
    const index = this.dtype === "int64" ? this.self : this.self.to("int32");
    return zeros.scatterAdd(0, index, weights?.to(dtype) ?? ones);
  }

  /**
   * Counts of the elements in `bins` bins of equal width from `min` to `max`; by default (both 0) from the smallest to the largest, which
   * reads the data. Elements outside are not counted.
   *
   * @returns `[bins]` of this dtype
   * @throws {TypeError} When the dtype is no float
   * @throws {RangeError} When there is no bin or the range is not finite
   */
  histc(options: { bins?: number; min?: number; max?: number } = {}): Tensor {
    const { bins = 100 } = options;
    let { min = 0, max = 0 } = options;
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot make a histogram of ${this.dtype}: cast to a float dtype first`);
    }
    if (!Number.isInteger(bins) || bins < 1) {
      throw new RangeError(`Cannot make a histogram of ${bins} bins: at least 1 is needed`);
    }
    const zeros = wrap(constNode(0, [bins], this.dtype, this.device));
    if (min === max && this.numel > 0) [min, max] = [this.amin().item(), this.amax().item()];
    if (min === max) [min, max] = [min - 1, max + 1];
    if (!(min < max) || !Number.isFinite(max - min)) {
      throw new RangeError(
        `Cannot make a histogram from ${min} to ${max}: a finite range is needed`,
      );
    }
    if (this.numel === 0) return zeros;
    const x = this.reshape(this.numel).detach();
    const inside = x.ge(min).logicalAnd(x.le(max));
    const place = inside.where(x, min).sub(min).mul(bins).div(max - min).floor();
    return zeros.scatterAdd(0, place.clamp({ max: bins - 1 }).to("int32"), inside.to(this.dtype));
  }
}

function elementGroups(x: Tensor, sorted: boolean): Groups {
  const values = hostNumbers(x);
  const order = sorted ? x.argsort().to("int32").data() as Int32Array : upTo(values.length);
  return grouped(order, (a, b) => values[a] === values[b]);
}

function sliceGroups(rows: Tensor, sorted: boolean): Groups {
  const [count, width] = rows.shape, values = hostNumbers(rows);
  const compare = (a: number, b: number): number => {
    for (let i = a * width, j = b * width, end = i + width; i < end; i++, j++) {
      if (values[i] !== values[j]) return values[i] < values[j] ? -1 : 1;
    }
    return 0;
  };
  const order = upTo(count);
  if (sorted) order.sort(compare);
  return grouped(order, (a, b) => compare(a, b) === 0);
}

/** Coordinates of the elements that are not zero, one after the other. */
function nonzeroPlaces(x: Tensor): Int32Array {
  const rank = x.ndim;
  if (numel(x.shape) === 0) return new Int32Array(0);
  const values = x.bool().data() as Uint8Array;
  let count = 0;
  for (let i = 0; i < values.length; i++) count += values[i];
  const places = new Int32Array(count * rank), at = new Int32Array(rank);
  for (let i = 0, next = 0; i < values.length; i++) {
    if (values[i] !== 0) { for (let d = 0; d < rank; d++) places[next++] = at[d]; }
    for (let d = rank - 1; d >= 0; d--) {
      if (++at[d] < x.shape[d]) break;
      at[d] = 0;
    }
  }
  return places;
}
