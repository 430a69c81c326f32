/** Running reductions by plain loops. */
import type { RoutineParams } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

const steps: {
  readonly [Op in RoutineParams["scan"]["op"]]: (total: number, x: number) => number;
} = {
  sum: (total, x) => total + x,
  prod: (total, x) => total * x,
  max: (total, x) => total !== total || total >= x ? total : x,
  min: (total, x) => total !== total || total <= x ? total : x,
  logaddexp: (total, x) => {
    const top = Math.max(total, x);
    return Number.isFinite(top) ? top + Math.log1p(Math.exp(-Math.abs(total - x))) : total + x;
  },
};

/** `[x, out]`: see `RoutineParams.scan`. */
export function scan(
  { op }: RoutineParams["scan"],
  [x, out]: readonly PlainOperand[],
): void {
  const length = x.shape[x.shape.length - 1], step = steps[op];
  for (let row = 0; row < x.data.length; row += length) {
    let total = x.data[row];
    out.data[row] = total;
    for (let i = 1; i < length; i++) out.data[row + i] = total = step(total, x.data[row + i]);
  }
}
