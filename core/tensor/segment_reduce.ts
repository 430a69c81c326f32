/** Reductions of segments of different lengths. */
import { normalizeDim, numel, shapeText } from "../shape.ts";
import { wrap } from "./base.ts";
import { constNode } from "../node.ts";
import { hostIndex } from "./ramp.ts";
import type { Tensor } from "./tensor.ts";

/** How a segment becomes one element. */
export type SegmentReduction = "sum" | "mean" | "prod" | "max" | "min";

/** Options of {@linkcode segmentReduce}: lengths or offsets of the segments are needed. */
export interface SegmentOptions {
  /** Lengths of the segments, `[..., segments]`; they add up to the size of the axis. */
  readonly lengths?: Tensor;
  /** Where the segments begin, with the end of the last: `[..., segments + 1]`. */
  readonly offsets?: Tensor;
  /** Axis to reduce along; leading sizes are those of the lengths. 0 by default. */
  readonly axis?: number;
  /** What each reduction starts from: 0, 1 or infinities by default; the mean of nothing is NaN by default. */
  readonly initial?: number;
}

/** Neutral elements, and the reduction over the last but one dimension. */
const reductions: Readonly<
  Record<SegmentReduction, { start: number; over: (x: Tensor, dim: number) => Tensor }>
> = {
  sum: { start: 0, over: (x, d) => x.sum(d) },
  mean: { start: 0, over: (x, d) => x.sum(d) },
  prod: { start: 1, over: (x, d) => x.prod(d) },
  max: { start: -Infinity, over: (x, d) => x.amax(d) },
  min: { start: Infinity, over: (x, d) => x.amin(d) },
};

/**
 * Reduces segments of an axis. Reads lengths or offsets.
 *
 * @param x `[..., size, ...]`
 * @param reduction How a segment becomes one element
 * @param options Lengths or offsets, axis, initial value
 * @returns `[..., segments, ...]`
 * @throws {TypeError} When neither or both of lengths and offsets are given, or their shape does not fit
 * @throws {RangeError} When a segment lies outside of the axis
 */
export function segmentReduce(
  x: Tensor,
  reduction: SegmentReduction,
  options: SegmentOptions,
): Tensor {
  const { axis = 0, initial } = options, d = normalizeDim(axis, x.ndim, "reduce segments");
  const { starts, lengths, segments } = bounds(x, d, options);
  const outer = numel(x.shape.slice(0, d)), size = x.shape[d], inner = numel(x.shape.slice(d + 1));
  const shape = [...x.shape.slice(0, d), segments, ...x.shape.slice(d + 1)];
  const longest = lengths.reduce((a, b) => Math.max(a, b), 1);
  const { start, over } = reductions[reduction];
  const { dtype, device } = x;
  // Every segment padded to the longest, by places that repeat where it has ended.
  const places = new Int32Array(outer * segments * longest);
  const used = new Int32Array(places.length);
  for (let s = 0; s < lengths.length; s++) {
    for (let i = 0; i < lengths[s]; i++) {
      places[s * longest + i] = starts[s] + i;
      used[s * longest + i] = 1;
    }
  }
  const wide = [outer, segments * longest, inner], split = [outer, segments, longest, inner];
  const index = hostIndex(places, device, { shape: [outer, segments * longest, 1] }).expand(wide);
  const inside = hostIndex(used, device, { shape: [outer, segments, longest, 1] }).ne(0);
  const counts = hostIndex(lengths, device, { shape: [outer, segments, 1] });
  const fill = wrap(constNode(start, [], dtype, device));
  const cells = size === 0
    ? wrap(constNode(start, split, dtype, device))
    : inside.expand(split).where(
      x.reshape(outer, size, inner).gather(1, index).reshape(split),
      fill,
    );
  const folded = over(cells, 2), first = initial ?? start;
  const begun: Readonly<Record<SegmentReduction, () => Tensor>> = {
    sum: () => folded.add(first),
    mean: () => counts.eq(0).where(initial ?? NaN, folded.add(first).div(counts.clamp({ min: 1 }))),
    prod: () => folded.mul(first),
    max: () => folded.lt(first).where(first, folded),
    min: () => folded.gt(first).where(first, folded),
  };
  return begun[reduction]().to(dtype).reshape(shape);
}

/** Starts and lengths of all segments, checked. */
function bounds(
  x: Tensor,
  d: number,
  { lengths, offsets }: SegmentOptions,
): { starts: number[]; lengths: number[]; segments: number } {
  const given = lengths ?? offsets;
  if (given === undefined || (lengths !== undefined && offsets !== undefined)) {
    throw new TypeError("Cannot reduce segments: give either lengths or offsets");
  }
  if (given.ndim !== d + 1 || given.shape.slice(0, -1).some((s, i) => s !== x.shape[i])) {
    throw new TypeError(
      `Cannot reduce ${shapeText(x.shape)} along dim ${d} by segments of shape ${
        shapeText(given.shape)
      }: leading sizes must be equal`,
    );
  }
  const values = Array.from(given.to("float64").data() as Float64Array);
  const width = given.shape[d], segments = lengths === undefined ? width - 1 : width;
  const starts: number[] = [], counts: number[] = [];
  for (let row = 0; row < values.length; row += width) {
    let at = lengths === undefined ? values[row] : 0;
    for (let s = 0; s < segments; s++) {
      const length = lengths === undefined ? values[row + s + 1] - at : values[row + s];
      if (length < 0 || at < 0 || at + length > x.shape[d]) {
        throw new RangeError(
          `Cannot reduce the segment of ${length} from ${at}: dim ${d} has ${x.shape[d]} elements`,
        );
      }
      starts.push(at);
      counts.push(length);
      at += length;
    }
  }
  return { starts, lengths: counts, segments };
}
