/** Sorting and searching by plain loops. */
import type { RoutineParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

/** `[x, out]`: see `RoutineParams.argsort`. */
export function argsort(
  { descending }: RoutineParams["argsort"],
  [x, out]: readonly PlainOperand[],
): void {
  const length = x.shape[x.shape.length - 1];
  const order = Array.from({ length }, (_, i) => i);
  for (let row = 0; row < x.data.length; row += length) {
    // NaN is the largest: it differs from itself. Array.sort is stable.
    const compare = (i: number, j: number): number => {
      const a = x.data[row + i], b = x.data[row + j];
      if (a !== a || b !== b) return Number(a !== a) - Number(b !== b);
      return a < b ? -1 : a > b ? 1 : 0;
    };
    for (let i = 0; i < length; i++) order[i] = i;
    order.sort(descending ? (i, j) => compare(j, i) : compare);
    for (let i = 0; i < length; i++) out.data[row + i] = order[i];
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
