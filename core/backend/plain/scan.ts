/** Running reductions by plain loops. */
import type { RoutineParams, ScanOp } from "../../device.ts";
import type { PlainOperand } from "./mod.ts";

type Row = PlainOperand["data"];

/** One row of `length` elements from `at` on; totals are float64 whatever the dtype. */
const loops: Readonly<Record<ScanOp, (x: Row, out: Row, at: number, length: number) => void>> = {
  sum: (x, out, at, length) => {
    let total = 0;
    for (let i = at; i < at + length; i++) out[i] = total += x[i];
  },
  prod: (x, out, at, length) => {
    let total = 1;
    for (let i = at; i < at + length; i++) out[i] = total *= x[i];
  },
  max: (x, out, at, length) => {
    let total = x[at];
    for (let i = at; i < at + length; i++) {
      const v = x[i];
      if (v > total || v !== v) total = v;
      out[i] = total;
    }
  },
  min: (x, out, at, length) => {
    let total = x[at];
    for (let i = at; i < at + length; i++) {
      const v = x[i];
      if (v < total || v !== v) total = v;
      out[i] = total;
    }
  },
  logaddexp: (x, out, at, length) => {
    let total = -Infinity;
    for (let i = at; i < at + length; i++) {
      const top = Math.max(total, x[i]);
      total = Number.isFinite(top) ? top + Math.log1p(Math.exp(-Math.abs(total - x[i]))) : top;
      out[i] = total;
    }
  },
  argmax: (x, out, at, length) => {
    let best = x[at], place = 0;
    for (let i = 0; i < length; i++) {
      const v = x[at + i];
      if (v >= best || v !== v) [best, place] = [v, i];
      out[at + i] = place;
    }
  },
  argmin: (x, out, at, length) => {
    let best = x[at], place = 0;
    for (let i = 0; i < length; i++) {
      const v = x[at + i];
      if (v <= best || v !== v) [best, place] = [v, i];
      out[at + i] = place;
    }
  },
};

/** `[x, out]`: see `RoutineParams.scan`. */
export function scan({ op }: RoutineParams["scan"], [x, out]: readonly PlainOperand[]): void {
  const length = x.shape[x.shape.length - 1], loop = loops[op];
  for (let at = 0; at < x.data.length; at += length) loop(x.data, out.data, at, length);
}

/** `[a, b, out]`: see `RoutineParams.recurrence`. */
export function recurrence(
  _params: RoutineParams["recurrence"],
  [a, b, out]: readonly PlainOperand[],
): void {
  const length = b.shape[b.shape.length - 1], p = a.data, q = b.data, y = out.data;
  for (let at = 0; at < q.length; at += length) {
    let total = 0;
    // The first factor meets nothing; even an infinite or NaN one.
    for (let i = at; i < at + length; i++) {
      y[i] = total = i === at ? q[i] : p[i] * total + q[i];
    }
  }
}
