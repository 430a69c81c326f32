/** Scattering by plain loops. */
import type { RoutineParams } from "../../device.ts";
import { contiguousStrides } from "../../shape.ts";
import type { PlainOperand } from "./mod.ts";

/** How a value joins what is there; NaN wins over numbers. */
const joins: Record<RoutineParams["scatterReduce"]["op"], (a: number, b: number) => number> = {
  prod: (a, b) => a * b,
  max: (a, b) => b > a || b !== b ? b : a,
  min: (a, b) => b < a || b !== b ? b : a,
};

/** `[base, index, values, out]`: see `RoutineParams.scatterReduce`. */
export function scatterReduce(
  { op, dim }: RoutineParams["scatterReduce"],
  [base, index, values, out]: readonly PlainOperand[],
): void {
  const join = joins[op], { shape } = index, rank = shape.length;
  const strides = contiguousStrides(out.shape), size = out.shape[dim];
  for (let i = 0; i < base.data.length; i++) out.data[i] = base.data[i];
  // `at` counts through the places of the index; `row` is where its coordinates other than `dim` lie in the result.
  const at = new Array<number>(rank).fill(0);
  for (let i = 0, row = 0; i < index.data.length; i++) {
    const place = index.data[i];
    if (!(place >= 0 && place < size)) {
      throw new RangeError(`Cannot index with ${place}: the dimension has size ${size}`);
    }
    const to = row + place * strides[dim];
    out.data[to] = join(out.data[to], values.data[i]);
    for (let d = rank - 1; d >= 0; d--) {
      const step = d === dim ? 0 : strides[d];
      at[d]++;
      row += step;
      if (at[d] < shape[d]) break;
      row -= step * shape[d];
      at[d] = 0;
    }
  }
}
