/** Indexing as square brackets do it in PyTorch and NumPy: whole numbers, slices, new axes, index tensors and masks. */
import { broadcastShapes, numel, type Shape, shapeText } from "../shape.ts";
import { DiagonalTensor } from "./diagonals.ts";
import { untouched } from "./indexing.ts";
import { fromFront, hostIndex, ramp } from "./ramp.ts";
import type { Tensor } from "./tensor.ts";

/** A range of a dimension; negative bounds count from the end. */
export interface SliceIndex {
  /** First element; 0 by default. */
  readonly start?: number | null;
  /** End of the range, not included; the size by default. */
  readonly stop?: number | null;
  /** Distance of two elements, at least 1; 1 by default. */
  readonly step?: number | null;
}

/**
 * One index: a whole number takes an element, `{ start, stop, step }` a range (`{}` everything), `null` makes a dimension of size 1, `"..."` stands
 * for all dimensions not named; an int32 or int64 tensor (or an array of numbers) takes elements by place, a bool tensor those where it is true.
 */
export type Index = number | null | "..." | SliceIndex | readonly number[] | Tensor;

/** A view with dimensions still to be indexed by tensors. */
interface Parts {
  readonly x: Tensor;
  /** Index tensors by dimension of x. */
  readonly by: ReadonlyMap<number, Tensor>;
}

/** Square brackets. */
export abstract class IndexedTensor extends DiagonalTensor {
  /**
   * `this[items]`. Numbers, ranges and new axes give a view. Index tensors are broadcast together; their dimensions take the place of those they
   * index, or come first when these do not lie side by side. A mask is read to the host, since the size of the result depends on it.
   *
   * @throws {TypeError} When there are more indices than dimensions or a mask has another shape than what it indexes
   * @throws {RangeError} When an index is out of range; for index tensors when computed
   */
  index(...items: readonly Index[]): Tensor {
    return gathered(split(this.self, items));
  }

  /**
   * A copy in which `this[items]`, as {@linkcode IndexedTensor.index} gives it, is replaced by `values`, broadcast.
   * @param items The indices
   * @param values A tensor of this dtype, or a number
   * @param options `accumulate`: add instead; else the last of several values for one place stays
   * @throws {TypeError} When the values do not broadcast to what is indexed
   */
  indexPut(
    items: readonly Index[],
    values: Tensor | number,
    options: { accumulate?: boolean } = {},
  ): Tensor {
    const places = ramp(this.numel, this.device).reshape(this.shape).index(...items);
    const source = typeof values === "number"
      ? this.reshape(-1).narrow(0, 0, Math.min(1, this.numel)).detach().mul(0).add(values)
      : values;
    if (source.dtype !== this.dtype) {
      throw new TypeError(`Cannot put ${source.dtype} into ${this.dtype}: dtypes must be equal`);
    }
    if (places.numel === 0) return untouched(this.self, values);
    // Leading dimensions of size 1 may be more than what is indexed has.
    const lead = Math.max(0, source.ndim - places.ndim);
    const trimmed = source.shape.slice(0, lead).every((s) => s === 1)
      ? source.reshape(source.shape.slice(lead))
      : source;
    return this.put(places, trimmed.expand(places.shape), options.accumulate ?? false);
  }

  /** A copy with elements of `source` at flat places. */
  abstract put(index: Tensor, source: Tensor, accumulate?: boolean): Tensor;
}

const isTensor = (item: Index): item is Tensor =>
  typeof item === "object" && item !== null && "node" in item;

/** Dimensions that an index uses up. */
function consumed(item: Index): number {
  if (item === null || item === "...") return 0;
  return isTensor(item) && item.dtype === "bool" ? item.ndim : 1;
}

/** Applies what views can express, in order, and collects index tensors. */
function split(x: Tensor, items: readonly Index[]): Parts {
  const used = items.reduce<number>((n, item) => n + consumed(item), 0);
  if (used > x.ndim || items.filter((item) => item === "...").length > 1) {
    throw new TypeError(
      `Cannot index ${shapeText(x.shape)} with ${items.length} indices: ${
        used > x.ndim ? `they name ${used} dimensions` : '"..." may stand once'
      }`,
    );
  }
  const open = x.ndim - used, by = new Map<number, Tensor>();
  let d = 0, at = x;
  for (const item of items) {
    if (item === null) at = at.unsqueeze(d++);
    else if (item === "...") d += open;
    else if (typeof item === "number") at = at.select(d, item);
    else if (isTensor(item)) {
      if (item.dtype === "bool") {
        const [flat, place] = masked(at, d, item);
        at = flat;
        by.set(d++, place);
      } else if (item.dtype !== "int32" && item.dtype !== "int64") {
        throw new TypeError(
          `Cannot index by a ${item.dtype} tensor: int32, int64 or bool is needed`,
        );
      } else if (item.ndim === 0) {
        at = at.indexSelect(d, fromFront(item, at.shape[d]).reshape(1)).squeeze(d);
      } else by.set(d++, item);
    } else if (Array.isArray(item)) by.set(d, listed(item, at.shape[d++], x.device));
    else {
      const { start, stop, step } = item as SliceIndex;
      at = at.slice(d++, start ?? 0, stop ?? Infinity, step ?? 1);
    }
  }
  return { x: at, by };
}

/** A list of places, checked. */
function listed(list: readonly number[], size: number, device: string): Tensor {
  const places = list.map((i) => {
    const place = i < 0 ? i + size : i;
    if (!Number.isInteger(i) || place < 0 || place >= size) {
      throw new RangeError(`Cannot index with ${i}: the dimension has size ${size}`);
    }
    return place;
  });
  return hostIndex(places, device);
}

/** The dimensions that a mask covers as one, and the places where it is true. */
function masked(x: Tensor, d: number, mask: Tensor): [Tensor, Tensor] {
  const covered: Shape = x.shape.slice(d, d + mask.ndim);
  if (covered.some((s, i) => s !== mask.shape[i])) {
    throw new TypeError(
      `Cannot index ${shapeText(covered)} by a mask of shape ${
        shapeText(mask.shape)
      }: the shapes must be equal`,
    );
  }
  const hits: number[] = [];
  mask.data().forEach((hit, i) => {
    if (hit) hits.push(i);
  });
  const rest = x.shape.slice(d + mask.ndim);
  return [
    x.reshape([...x.shape.slice(0, d), numel(covered), ...rest]),
    hostIndex(hits, x.device),
  ];
}

/** Elements at the places of index tensors. */
function gathered({ x, by }: Parts): Tensor {
  const dims = [...by.keys()].sort((a, b) => a - b);
  if (dims.length === 0) return x;
  const shape = [...by.values()].reduce<Shape>(
    (s, t) => broadcastShapes(s, t.shape, "index by"),
    [],
  );
  const beside = dims.every((d, i) => d === dims[0] + i);
  const first = beside ? dims[0] : 0;
  const moved = beside ? x : x.movedim(dims, dims.map((_, i) => i));
  const last = first + dims.length;
  const before = moved.shape.slice(0, first), after = moved.shape.slice(last);
  const sizes = moved.shape.slice(first, last),
    places = flatPlaces(dims.map((d) => by.get(d)!), sizes);
  const flat = places.expand(shape).reshape(-1);
  const lines = moved.reshape([...before, numel(sizes), ...after]);
  return lines.indexSelect(first, flat).reshape([...before, ...shape, ...after]);
}

/** One row-major place for the coordinates of each element; -1, which a gather refuses, where one is out of range. */
function flatPlaces(index: readonly Tensor[], sizes: Shape): Tensor {
  const from = index.map((t, i) => fromFront(t, sizes[i]));
  if (from.length === 1) return from[0];
  const place = from.slice(1).reduce((at, t, i) => at.mul(sizes[i + 1]).add(t), from[0]);
  const inside = from.map((t, i) => t.ge(0).logicalAnd(t.lt(sizes[i]))).reduce((a, b) =>
    a.logicalAnd(b)
  );
  return inside.where(place, -1);
}
