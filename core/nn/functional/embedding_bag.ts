/** Sums, means and maxima of looked-up rows. */
import { isAutocasting, underPolicy } from "../../amp/cast.ts";
import { isFloat } from "../../dtype.ts";
import { searchsorted, type Tensor, tensor, where, zeros } from "../../tensor/mod.ts";
import { ramp } from "../../tensor/ramp.ts";
import { checkLookup, lookUp, type LookupOptions, paddingRow } from "./embedding.ts";
import { sameShapes, shapeOf } from "./reduction.ts";

/** How the rows of a bag become one. */
export type BagMode = "sum" | "mean" | "max";

/** Options of {@linkcode embeddingBag}. */
export interface EmbeddingBagOptions extends LookupOptions {
  /** `[B]`: where each bag begins in a 1-D index; the first is 0. */
  readonly offsets?: Tensor;
  /** `mean` by default. */
  readonly mode?: BagMode;
  /** Factor of each row, in the shape of the index; for `sum` alone. */
  readonly perSampleWeights?: Tensor;
  /** Whether the last offset is the end of the last bag; false by default. */
  readonly includeLastOffset?: boolean;
}

/** @throws {RangeError} When the mode is none of the three, or does not go with the other options */
export function checkBag(
  mode: BagMode,
  options: { hasWeights?: boolean; scaleGradByFreq?: boolean },
): void {
  const known: Record<BagMode, true> = { sum: true, mean: true, max: true };
  if (known[mode] !== true) {
    throw new RangeError(
      `Cannot apply EmbeddingBag with mode "${mode}": it must be "sum", "mean" or "max"`,
    );
  }
  if (options.hasWeights === true && mode !== "sum") {
    throw new RangeError(`Cannot bag by "${mode}" with perSampleWeights: only "sum" takes them`);
  }
  if (options.scaleGradByFreq === true && mode === "max") {
    throw new RangeError('Cannot bag by "max" with scaleGradByFreq: only "sum" and "mean" take it');
  }
}

/**
 * For each bag the sum, mean or maximum of the rows of `weight` at its indices; zeros for an empty bag. The padding row does not count.
 *
 * Offsets are read back for `max`, and only then.
 *
 * @param index `[B, L]`: bags of one length; or `[n]` with `offsets`
 * @param weight `[rows, size]`
 * @param options Offsets, mode, weights, padding and limits
 * @returns `[B, size]`
 * @throws {TypeError} When shapes or dtypes do not fit
 * @throws {RangeError} When options do not go together or `paddingIdx` names no row; when computed, if an index names none
 */
export function embeddingBag(
  index: Tensor,
  weight: Tensor,
  options: EmbeddingBagOptions = {},
): Tensor {
  if (isAutocasting()) return underPolicy("embeddingBag", embeddingBag, arguments);
  const { mode = "mean", perSampleWeights, scaleGradByFreq } = options;
  checkLookup("bag embeddings", index, weight);
  checkBag(mode, { hasWeights: perSampleWeights !== undefined, scaleGradByFreq });
  const padding = paddingRow("bag embeddings", weight, options.paddingIdx);
  if (perSampleWeights !== undefined && !sameShapes(index, perSampleWeights)) {
    throw new TypeError(
      `Cannot bag embeddings at ${shapeOf(index)} with perSampleWeights ${
        shapeOf(perSampleWeights)
      }: they must be ${shapeOf(index)}`,
    );
  }
  const starts = bagStarts(index, options);
  const counts = padding === undefined ? undefined : index.ne(padding);
  if (starts === undefined) return fixedBags(index, weight, counts, options);
  if (mode !== "max") return scatteredBags(index, weight, starts, counts, options);
  const { at, isInside } = layOut(starts, index.numel, index.device);
  const wide = index.numel === 0 ? at : index.indexSelect(0, at.reshape([-1])).reshape(at.shape);
  const mask = padding === undefined ? isInside : isInside.logicalAnd(wide.ne(padding));
  return fixedBags(wide, weight, mask, options);
}

/** Where bags begin, for a 1-D index. */
function bagStarts(index: Tensor, options: EmbeddingBagOptions): Tensor | undefined {
  const { offsets, includeLastOffset = false } = options;
  if (index.ndim === 2) {
    if (offsets === undefined) return undefined;
    throw new TypeError(
      `Cannot bag embeddings at ${shapeOf(index)} with offsets: its rows are the bags`,
    );
  }
  if (index.ndim !== 1 || offsets === undefined) {
    throw new TypeError(
      `Cannot bag embeddings at ${shapeOf(index)}: it must be [B, L], or [n] with offsets`,
    );
  }
  if (offsets.ndim !== 1 || isFloat(offsets.dtype) || offsets.dtype === "bool") {
    throw new TypeError(
      `Cannot bag embeddings with offsets ${
        shapeOf(offsets)
      } ${offsets.dtype}: they must be [B] int32 or int64`,
    );
  }
  if (!includeLastOffset) return offsets;
  if (offsets.numel === 0) {
    throw new TypeError("Cannot bag embeddings with includeLastOffset and no offsets: give one");
  }
  return offsets.narrow(0, 0, offsets.numel - 1);
}

/** Bags `[B, L]`; what is outside `mask` does not count. */
function fixedBags(
  index: Tensor,
  weight: Tensor,
  mask: Tensor | undefined,
  options: EmbeddingBagOptions,
): Tensor {
  const { mode = "mean", perSampleWeights } = options;
  const [bags, length] = index.shape, size = weight.shape[1];
  if (index.numel === 0) {
    return zeros([bags, size], { dtype: weight.dtype, device: weight.device });
  }
  const rows = lookUp(index, weight, options), inside = mask?.unsqueeze(-1);
  const kept = (x: Tensor, other: number) => inside === undefined ? x : where(inside, x, other);
  if (mode === "max") {
    const top = kept(rows, -Infinity).amax(1);
    return mask === undefined ? top : where(mask.any(1, true), top, 0);
  }
  const scaled = perSampleWeights === undefined ? rows : rows.mul(perSampleWeights.unsqueeze(-1));
  const sum = kept(scaled, 0).sum(1);
  if (mode === "sum") return sum;
  return sum.div(mask === undefined ? length : mask.to(rows.dtype).sum(1, true).clamp({ min: 1 }));
}

/** Bags of any length, added up where they belong. */
function scatteredBags(
  index: Tensor,
  weight: Tensor,
  starts: Tensor,
  counts: Tensor | undefined,
  options: EmbeddingBagOptions,
): Tensor {
  const { mode = "mean", perSampleWeights } = options, { dtype, device } = weight;
  const bags = starts.numel, size = weight.shape[1], n = index.numel;
  if (n === 0 || bags === 0) return zeros([bags, size], { dtype, device });
  let rows = lookUp(index, weight, options);
  if (perSampleWeights !== undefined) rows = rows.mul(perSampleWeights.unsqueeze(-1));
  if (counts !== undefined) rows = where(counts.unsqueeze(-1), rows, 0);
  // The bag of a position is the last that begins at or before it.
  const bag = searchsorted(starts.to("int32"), ramp(n, device), { right: true, outInt32: true })
    .sub(1);
  const sum = zeros([bags, size], { dtype, device })
    .scatterAdd(0, bag.unsqueeze(-1).expand([n, size]), rows);
  if (mode === "sum") return sum;
  const one = counts === undefined ? zeros([n], { dtype, device }).add(1) : counts.to(dtype);
  const total = zeros([bags], { dtype, device }).scatterAdd(0, bag, one);
  return sum.div(total.clamp({ min: 1 }).unsqueeze(-1));
}

/** Positions `[B, L]` of bags of any length, and which of them are real. */
function layOut(
  starts: Tensor,
  n: number,
  device: string,
): { at: Tensor; isInside: Tensor } {
  const from = Array.from(starts.data() as ArrayLike<number | bigint>, Number);
  const ends = [...from.slice(1), n];
  const wrong = from.findIndex((start, b) =>
    start > ends[b] || start < 0 || (b === 0 && start > 0)
  );
  if (wrong >= 0) {
    throw new RangeError(
      `Cannot bag ${n} embeddings from offset ${
        from[wrong]
      }: offsets start at 0 and never fall or pass the end`,
    );
  }
  const length = Math.max(0, ...ends.map((end, b) => end - from[b]));
  const places = from.flatMap((start) =>
    Array.from({ length }, (_, i) => Math.min(start + i, Math.max(n - 1, 0)))
  );
  const shape = [from.length, length];
  const at = places.length === 0
    ? zeros(shape, { dtype: "int32", device })
    : tensor(Int32Array.from(places), { shape, device });
  const sizes = ends.map((end, b) => end - from[b]);
  const isInside = ramp(length, device).lt(
    tensor(Int32Array.from(sizes), { device }).unsqueeze(-1),
  );
  return { at, isInside };
}
