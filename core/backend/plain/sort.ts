/** Sorting and searching by plain loops. */
import type { RoutineParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** Runs of this length are sorted by insertion before they are merged. */
const runLength = 16;

/** Stable: insertion sort of runs, then merges from one pair of arrays into the other. Returns the places in order. */
function mergeSort(
  keys: Float64Array,
  places: Int32Array,
  otherKeys: Float64Array,
  otherPlaces: Int32Array,
  length: number,
): Int32Array {
  for (let start = 0; start < length; start += runLength) {
    const end = Math.min(start + runLength, length);
    for (let i = start + 1; i < end; i++) {
      const key = keys[i], place = places[i];
      let j = i - 1;
      for (; j >= start && keys[j] > key; j--) {
        keys[j + 1] = keys[j];
        places[j + 1] = places[j];
      }
      keys[j + 1] = key;
      places[j + 1] = place;
    }
  }
  let fromKeys = keys, from = places, toKeys = otherKeys, to = otherPlaces;
  for (let width = runLength; width < length; width *= 2) {
    for (let start = 0; start < length; start += 2 * width) {
      const middle = Math.min(start + width, length), end = Math.min(start + 2 * width, length);
      let i = start, j = middle, k = start;
      while (i < middle && j < end) {
        const left = fromKeys[i] <= fromKeys[j], at = left ? i++ : j++;
        toKeys[k] = fromKeys[at];
        to[k++] = from[at];
      }
      for (; i < middle; i++, k++) {
        toKeys[k] = fromKeys[i];
        to[k] = from[i];
      }
      for (; j < end; j++, k++) {
        toKeys[k] = fromKeys[j];
        to[k] = from[j];
      }
    }
    [fromKeys, toKeys] = [toKeys, fromKeys];
    [from, to] = [to, from];
  }
  return from;
}

/** Up to this many places are found by keeping the best so far in order, without sorting the rest. */
const fewPlaces = 64;

/** Places of the `count` smallest keys in order, stably: `best` and `places` hold those so far. */
function smallest(
  keys: Float64Array,
  best: Float64Array,
  places: Int32Array,
  length: number,
  count: number,
): void {
  let held = 0;
  for (let i = 0; i < length; i++) {
    const key = keys[i];
    if (held === count && key >= best[count - 1]) continue;
    let j = held < count ? held++ : count - 1;
    for (; j > 0 && best[j - 1] > key; j--) {
      best[j] = best[j - 1];
      places[j] = places[j - 1];
    }
    best[j] = key;
    places[j] = i;
  }
}

/** `[x, out]`: see `RoutineParams.argsort`. */
export function argsort(
  { descending }: RoutineParams["argsort"],
  [x, out]: readonly PlainOperand[],
): void {
  const length = x.shape[x.shape.length - 1], count = out.shape[out.shape.length - 1];
  const data = x.data, result = out.data;
  const [keys, otherKeys] = [0, 1].map(() => new Float64Array(length));
  const [places, otherPlaces, order] = [0, 1, 2].map(() => new Int32Array(length));
  const nans = new Int32Array(length);
  for (let row = 0, to = 0; row < data.length; row += length, to += count) {
    let numbers = 0, others = 0;
    for (let i = 0; i < length; i++) {
      const v = data[row + i];
      if (v !== v) nans[others++] = i;
      else {
        keys[numbers] = descending ? -v : v;
        places[numbers++] = i;
      }
    }
    if (others === 0 && count < length && count <= fewPlaces) {
      smallest(keys, otherKeys, order, length, count);
    } else {
      // NaN is the largest.
      order.set(nans.subarray(0, others), descending ? 0 : numbers);
      order.set(
        mergeSort(keys, places, otherKeys, otherPlaces, numbers).subarray(0, numbers),
        descending ? others : 0,
      );
    }
    for (let i = 0; i < count; i++) result[to + i] = order[i];
  }
}

/** `[sorted, values, out]`: see `RoutineParams.search`. */
export function search(
  { right }: RoutineParams["search"],
  [sorted, values, out]: readonly PlainOperand[],
): void {
  const length = sorted.shape[sorted.shape.length - 1];
  const shared = sorted.shape.length === 1;
  const perRow = shared ? values.data.length : values.shape[values.shape.length - 1];
  for (let i = 0; i < values.data.length; i++) {
    const row = shared ? 0 : Math.floor(i / perRow) * length, value = values.data[i];
    let low = 0, high = length;
    while (low < high) {
      const middle = (low + high) >> 1, at = sorted.data[row + middle];
      // A NaN lies beyond every number.
      const before = right
        ? !(at > value) && (at === at || value !== value)
        : at < value || (value !== value && at === at);
      if (before) low = middle + 1;
      else high = middle;
    }
    out.data[i] = low;
  }
}
