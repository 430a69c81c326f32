/** Searching in sorted rows: one thread a value. */
import type { DType } from "../../dtype.ts";
import {
  blocksFor,
  eachItem,
  elements,
  int,
  long,
  places,
  type RoutineMaker,
  shortName,
  sizeOf,
} from "./routine_text.ts";

function searchText(sorted: DType, values: DType): { name: string; text: string } {
  const s = elements[sorted], v = elements[values];
  const name = `search_${shortName[sorted]}_${shortName[values]}`;
  // Numbers of other kinds meet as float64, which holds all but int64.
  const type = s.held === v.held ? s.held : "double";
  const text = eachItem({
    name,
    params:
      `const ${s.stored} *sorted, const ${v.stored} *values, int *out, int length, i64 perRow, int right`,
    body: `    const ${s.stored} *row = sorted + i / perRow * length;
    const ${type} value = (${type})${v.read("values[i]")};
    int low = 0, high = length;
    while (low < high) {
      const int middle = low + (high - low) / 2;
      const ${type} at = (${type})${s.read("row[middle]")};
      // A NaN lies beyond every number.
      const bool before = right ? !(at > value) && (at == at || value != value)
                                : at < value || (value != value && at == at);
      if (before) low = middle + 1;
      else high = middle;
    }
    out[i] = low;`,
  });
  return { name, text };
}

/** `[sorted, values, out]`: the place before the first element not below (`right`: above) each value. */
export const cudaSearch: RoutineMaker<"search"> = (runtime) => (call, buffers) => {
  const [sorted, values] = call.operands, count = sizeOf(values.shape);
  const length = sorted.shape.at(-1) ?? 1;
  const perRow = sorted.shape.length === 1 ? count : values.shape.at(-1) ?? 1;
  const { name, text } = searchText(sorted.dtype, values.dtype);
  return {
    start: runtime.launcher(text, name, { grid: [blocksFor(count, 256)], block: [256] }, [
      ...places(call.operands, buffers),
      int(length),
      long(Math.max(1, perRow)),
      int(call.params.right ? 1 : 0),
      long(count),
    ]),
  };
};
