/** Results with some elements replaced or accumulated. */
import { constNode } from "../node.ts";
import { normalizeDim, sameShape, shapeText } from "../shape.ts";
import { type Numeric, wrap } from "./base.ts";
import { untouched } from "./indexing.ts";
import { OverwriteTensor } from "./overwrite.ts";
import { filled, fromFront, ramp } from "./ramp.ts";
import { lastPlaces, placed, reduceInto, type ScatterReduction, spread } from "./scatter.ts";
import type { Tensor } from "./tensor.ts";

/** Operations that give a changed copy. */
export abstract class WriteTensor extends OverwriteTensor {
  /** A scalar as a list of one, for which dimension 0 has a meaning. */
  private lined(): Tensor {
    return this.ndim === 0 ? this.reshape(1) : this.self;
  }

  /** The values that an index of the same rank names, after checks. */
  private scattered(index: Tensor, src: Tensor, dim: number, action: string): Tensor {
    const fits = src.ndim === index.ndim && index.ndim === Math.max(1, this.ndim) &&
      index.shape.every((s, d) => s <= src.shape[d] && (d === dim || s <= (this.shape[d] ?? 1)));
    if (!fits) {
      throw new TypeError(
        `Cannot ${action} ${shapeText(src.shape)} into ${
          shapeText(this.shape)
        } along dim ${dim} by an index of shape ${shapeText(index.shape)}: it must not be larger`,
      );
    }
    if (src.dtype !== this.dtype) {
      throw new TypeError(`Cannot ${action} ${src.dtype} into ${this.dtype}: dtypes must be equal`);
    }
    checkIndex(index, action);
    return index.shape.reduce((t, s, d) => t.slice(d, 0, s), src);
  }

  /**
   * A copy with `src[i]` at `i with i[dim] = index[i]`; of several values for one place the last stays.
   *
   * @param dim Dimension along which the index counts
   * @param index int32 or int64, of the same rank, no larger than this elsewhere
   * @param src Values, at least as large as the index, or one number
   * @param options `reduce`: `add` or `multiply` joins values to what is there
   * @throws {TypeError} When shapes or dtypes do not fit
   */
  scatter(
    dim: number,
    index: Tensor,
    src: Numeric,
    options: { reduce?: "add" | "multiply" } = {},
  ): Tensor {
    const base = this.lined(), d = normalizeDim(dim, base.ndim, "scatter");
    const at = index.ndim === 0 ? index.reshape(1) : index;
    const given = typeof src === "number"
      ? wrap(constNode(src, at.shape, this.dtype, this.device))
      : src.ndim === 0
      ? src.reshape(1)
      : src;
    if (options.reduce === "add") return base.scatterAdd(d, at, given).reshape(this.shape);
    if (options.reduce === "multiply") {
      return base.scatterReduce(d, at, given, "prod").reshape(this.shape);
    }
    const values = this.scattered(at, given, d, "scatter");
    if (at.numel === 0) return untouched(this.self, src);
    const last = lastPlaces(base.shape, d, at), found = last.ge(0);
    const taken = typeof src === "number"
      ? src
      : values.detach().reshape(-1).gather(0, last.maximum(0).reshape(-1)).reshape(base.shape);
    const out = found.where(taken, base.detach()).withGradient([base, values], (g) => {
      const order = ramp(at.numel, this.device).reshape(at.shape);
      const stays = last.gather(d, at).eq(order);
      return [found.where(0, g), stays.where(g.gather(d, at), 0)];
    });
    return out.reshape(this.shape);
  }

  /**
   * A copy in which the values `src[i]` have been joined to the elements at `i with i[dim] = index[i]`. Equal extremes share a gradient.
   *
   * @param dim Dimension along which the index counts
   * @param index int32 or int64, of the same rank, no larger than this elsewhere
   * @param src Values, at least as large as the index
   * @param reduce How values that meet become one
   * @param options `includeSelf`: whether the old element counts among them (true)
   * @throws {TypeError} When shapes or dtypes do not fit
   */
  scatterReduce(
    dim: number,
    index: Tensor,
    src: Tensor,
    reduce: ScatterReduction,
    options: { includeSelf?: boolean } = {},
  ): Tensor {
    const base = this.lined(), d = normalizeDim(dim, base.ndim, "scatter");
    const at = index.ndim === 0 ? index.reshape(1) : index;
    const values = this.scattered(at, src.ndim === 0 ? src.reshape(1) : src, d, "scatter");
    if (at.numel === 0) return untouched(this.self, src);
    return reduceInto(base, d, at, values, reduce, options.includeSelf ?? true).reshape(this.shape);
  }

  /** A 1-D index checked against the slices along a dimension, and the slices. */
  private alongIndex(
    dim: number,
    index: Tensor,
    source: Tensor,
    action: string,
  ): { base: Tensor; d: number; at: Tensor; values: Tensor } {
    const base = this.lined(), d = normalizeDim(dim, base.ndim, action);
    const at = index.ndim === 0 ? index.reshape(1) : index;
    const values = source.ndim === 0 ? source.reshape(1) : source;
    const wanted = base.shape.map((s, i) => i === d ? at.numel : s);
    if (at.ndim !== 1 || !sameShape(values.shape, wanted)) {
      throw new TypeError(
        `Cannot ${action} ${shapeText(source.shape)} along dim ${dim} of ${
          shapeText(this.shape)
        } by an index of shape ${shapeText(index.shape)}: ${shapeText(wanted)} is needed`,
      );
    }
    if (values.dtype !== this.dtype) {
      throw new TypeError(
        `Cannot ${action} ${values.dtype} into ${this.dtype}: dtypes must be equal`,
      );
    }
    checkIndex(at, action);
    return { base, d, at, values };
  }

  /** A copy with the slices of `source`, times `alpha`, added at the places of a 1-D index along `dim`. */
  indexAdd(dim: number, index: Tensor, source: Tensor, options: { alpha?: number } = {}): Tensor {
    const { base, d, at, values } = this.alongIndex(dim, index, source, "add");
    const { alpha = 1 } = options;
    const scaled = alpha === 1 ? values : values.mul(alpha);
    return base.scatterAdd(d, spread(at, values.shape, d), scaled).reshape(this.shape);
  }

  /** A copy with the slices of `source` at the places of a 1-D index along `dim`; the last of several stays. */
  indexCopy(dim: number, index: Tensor, source: Tensor): Tensor {
    const { base, d, at, values } = this.alongIndex(dim, index, source, "copy");
    if (values.numel === 0) return untouched(this.self, source);
    const last = lastPlaces([base.shape[d]], 0, at);
    return placed(base, d, last, values).reshape(this.shape);
  }

  /**
   * A copy with `value` at the places of a 1-D index along `dim`.
   * @param value A number or a tensor without dimensions
   */
  indexFill(dim: number, index: Tensor, value: Numeric): Tensor {
    const base = this.lined(), d = normalizeDim(dim, base.ndim, "fill");
    const at = index.ndim === 0 ? index.reshape(1) : index;
    if (at.ndim !== 1 || (typeof value !== "number" && value.ndim !== 0)) {
      throw new TypeError(
        `Cannot fill by an index of shape ${
          shapeText(index.shape)
        }: a 1-D index and a single value are needed`,
      );
    }
    checkIndex(at, "fill");
    if (at.numel === 0) return untouched(this.self, value);
    const size = base.shape[d];
    const hit = filled(0, [size], this.device).scatterAdd(0, at, filled(1, at.shape, this.device));
    const mask = hit.gt(0).reshape(base.shape.map((_, i) => i === d ? size : 1));
    return base.maskedFill(mask, value).reshape(this.shape);
  }

  /** Like {@linkcode WriteTensor.scatterReduce} with the slices of `source` and a 1-D index along `dim`. */
  indexReduce(
    dim: number,
    index: Tensor,
    source: Tensor,
    reduce: Exclude<ScatterReduction, "sum">,
    options: { includeSelf?: boolean } = {},
  ): Tensor {
    const { base, d, at, values } = this.alongIndex(dim, index, source, "reduce");
    const wide = spread(at, values.shape, d);
    return base.scatterReduce(d, wide, values, reduce, options).reshape(this.shape);
  }

  /**
   * The elements at flat (row-major) places, in the shape of the index; negative places count from the end.
   * @throws {TypeError} When the index holds no integers
   */
  take(index: Tensor): Tensor {
    checkIndex(index, "take");
    return this.reshape(-1).gather(0, fromFront(index, this.numel).reshape(-1)).reshape(
      index.shape,
    );
  }

  /**
   * Elements at `indices` along `dim`; both are broadcast in the other dimensions. Without `dim` of the flattened tensor.
   * @throws {TypeError} When the ranks differ
   */
  takeAlongDim(indices: Tensor, dim?: number): Tensor {
    if (dim === undefined) return this.reshape(-1).takeAlongDim(indices.reshape(-1), 0);
    if (indices.ndim !== this.ndim) {
      throw new TypeError(
        `Cannot take from ${shapeText(this.shape)} by an index of shape ${
          shapeText(indices.shape)
        }: as many dimensions are needed`,
      );
    }
    const d = normalizeDim(dim, this.ndim, "take");
    const joined = this.shape.map((s, i) => s === 1 ? indices.shape[i] : s);
    const mine = this.shape.map((s, i) => i === d ? s : joined[i]);
    const theirs = indices.shape.map((s, i) => i === d ? s : joined[i]);
    return this.expand(mine).gather(d, fromFront(indices, this.shape[d]).expand(theirs));
  }

  /**
   * A copy with the elements of `source` at flat places; negative places count from the end.
   * @param accumulate Whether values are added; else the last of several for one place stays
   * @throws {TypeError} When the numbers of elements differ
   */
  put(index: Tensor, source: Tensor, accumulate = false): Tensor {
    if (index.numel !== source.numel) {
      throw new TypeError(
        `Cannot put ${shapeText(source.shape)} at an index of shape ${
          shapeText(index.shape)
        }: as many elements are needed`,
      );
    }
    checkIndex(index, "put");
    const flat = this.reshape(-1), at = fromFront(index, this.numel).reshape(-1);
    const values = source.reshape(-1);
    return (accumulate ? flat.indexAdd(0, at, values) : flat.indexCopy(0, at, values)).reshape(
      this.shape,
    );
  }
}

function checkIndex(index: Tensor, action: string): void {
  if (index.dtype !== "int32" && index.dtype !== "int64" && index.numel > 0) {
    throw new TypeError(`Cannot ${action} by a ${index.dtype} index: int32 or int64 is needed`);
  }
}
