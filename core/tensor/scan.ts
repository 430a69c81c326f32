/** Running reductions. */
import { type DType, isFloat } from "../dtype.ts";
import type { ScanOp } from "../device.ts";
import { rowsOf } from "./reduce_dims.ts";
import type { Extremes } from "./reduce.ts";
import { routine } from "./routine.ts";
import { StatisticsTensor } from "./statistics.ts";
import type { Tensor } from "./tensor.ts";

/** A scan of `[..., n]` without a gradient. int64 travels as float64, which holds whole numbers up to 2^53. */
function scanned(op: ScanOp, x: Tensor, dtype: DType = x.dtype): Tensor {
  const exact = x.dtype === "int64" ? x.to("float64") : x;
  const out = dtype === "int64" && x.dtype === "int64" ? "float64" : dtype;
  return routine("scan", { op }, [exact], x.shape, out).to(dtype);
}

/** The last dimension reversed. */
const reversed = (x: Tensor): Tensor => x.flip(-1);

/** Every element moved to the next place of the last dimension; the first becomes `fill`. */
function later(x: Tensor, fill: number): Tensor {
  return x.slice(-1, 0, x.shape[x.ndim - 1] - 1).pad([1, 0], fill);
}

/** `y[i] = a[i] * y[i - 1] + b[i]` along the last dimension, from 0; `a` and `b` have one shape and dtype. */
function recurrence(a: Tensor, b: Tensor): Tensor {
  const y = routine("recurrence", {}, [a, b], b.shape, b.dtype);
  return y.withGradient([a, b], (g, out) => {
    const db = backwardRecurrence(a, g);
    return [db.mul(later(out, 0)), db];
  });
}

/** `y[i] = b[i] + a[i + 1] * y[i + 1]` along the last dimension, from the end. */
function backwardRecurrence(a: Tensor, b: Tensor): Tensor {
  return reversed(recurrence(later(reversed(a), 0), reversed(b)));
}

/** Operations that accumulate along a dimension. */
export abstract class ScanTensor extends StatisticsTensor {
  /** Running sum along a dimension, in `dtype`; bool and integers add up as int64 by default. */
  cumsum(dim: number, options: { dtype?: DType } = {}): Tensor {
    const { dtype = isFloat(this.dtype) ? this.dtype : "int64" } = options;
    const { rows, back } = rowsOf(this.self.to(dtype), dim, "cumsum");
    return back(runningSum(rows));
  }
  /** Running product along a dimension, in `dtype`; bool and integers multiply as int64 by default. */
  cumprod(dim: number, options: { dtype?: DType } = {}): Tensor {
    const { dtype = isFloat(this.dtype) ? this.dtype : "int64" } = options;
    const { rows, back } = rowsOf(this.self.to(dtype), dim, "cumprod");
    const y = scanned("prod", rows).withGradient([rows], (g, out) => {
      // d out[i] / d x[k] is the product before k times that from k + 1 to i: nothing is divided, so zeros are no trap.
      return [later(out, 1).mul(backwardRecurrence(rows, g))];
    });
    return back(y);
  }
  /** Running logarithm of the sum of exponentials along a dimension. */
  logcumsumexp(dim: number): Tensor {
    const { rows, back } = rowsOf(this.self, dim, "logcumsumexp");
    if (!isFloat(this.dtype)) {
      throw new TypeError(`Cannot take logcumsumexp of ${this.dtype}: cast to a float dtype first`);
    }
    const y = scanned("logaddexp", rows).withGradient([rows], (g, out) => {
      // The sum over i >= k of g[i] exp(x[k] - y[i]), factored into steps exp(y[k] - y[k + 1]) that never exceed 1.
      const none = out.eq(-Infinity);
      const before = later(out, -Infinity);
      const step = before.eq(-Infinity).where(0, before.sub(out).exp());
      return [none.where(0, rows.sub(out).exp()).mul(backwardRecurrence(step, g))];
    });
    return back(y);
  }
  /** Largest element so far along a dimension, and the latest place where it is; gradients go to that place. */
  cummax(dim: number): Extremes {
    return this.runningExtreme("argmax", dim);
  }
  /** Smallest element so far along a dimension, and the latest place where it is; gradients go to that place. */
  cummin(dim: number): Extremes {
    return this.runningExtreme("argmin", dim);
  }
  /** Places of running extremes, and the values there. */
  private runningExtreme(op: "argmax" | "argmin", dim: number): Extremes {
    const { rows, back } = rowsOf(this.self, dim, op);
    const places = scanned(op, rows, "int32");
    return { values: back(rows.gather(-1, places)), indices: back(places.to("int64")) };
  }
}

/** Running sum along the last dimension; the gradient is a running sum from the other end. */
function runningSum(x: Tensor): Tensor {
  return scanned("sum", x).withGradient([x], (g) => [reversed(runningSum(reversed(g)))]);
}
