/** Differences and sums of neighbours: numerical derivatives and integrals along a dimension. */
import { isFloat } from "../dtype.ts";
import { normalizeDim, numel, shapeText } from "../shape.ts";
import { castNode, wrap } from "./base.ts";
import { assembleNode } from "./movement.ts";
import { type Dims, reducedDims } from "./reduce_dims.ts";
import { ScanTensor } from "./scan.ts";
import type { Tensor } from "./tensor.ts";

/** Options of {@linkcode DifferenceTensor.gradient}. */
export interface NumericalGradientOptions {
  /** Distance of neighbours: one number for all dimensions, one a dimension, or the 1-D coordinates of each dimension. */
  readonly spacing?: number | readonly number[] | readonly Tensor[];
  /** Dimensions to differentiate along; all by default. */
  readonly dim?: Dims;
  /** Order of accuracy at the ends, 1 or 2. */
  readonly edgeOrder?: 1 | 2;
}

/** Options of integrals by trapezoids. */
export interface TrapezoidOptions {
  /** Coordinates, along the dimension or of the shape of the values (broadcast). */
  readonly x?: Tensor;
  /** Distance of neighbours where no coordinates are given; 1 by default. */
  readonly dx?: number;
  /** Dimension to integrate along; the last by default. */
  readonly dim?: number;
}

/** Operations on neighbours along a dimension. */
export abstract class DifferenceTensor extends ScanTensor {
  /**
   * The `n`-th difference of neighbours along a dimension, with tensors joined on before and after; of bool whether neighbours differ.
   * @throws {RangeError} When `n` is negative or the tensor is a scalar
   */
  diff(n = 1, dim = -1, options: { prepend?: Tensor; append?: Tensor } = {}): Tensor {
    const d = normalizeDim(dim, this.ndim, "take differences");
    if (!Number.isInteger(n) || n < 0) {
      throw new RangeError(`Cannot take difference number ${n}: it is whole and not negative`);
    }
    if (n === 0) return this.self;
    let x = joined([options.prepend, this.self, options.append], d);
    for (let i = 0; i < n && x.shape[d] > 0; i++) {
      const after = x.slice(d, 1), before = x.slice(d, 0, x.shape[d] - 1);
      x = x.dtype === "bool" ? after.logicalXor(before) : after.sub(before);
    }
    return x;
  }

  /**
   * Derivatives along dimensions by differences of second order inside and of `edgeOrder` at the ends.
   *
   * @returns One tensor of this shape for each dimension
   * @throws {RangeError} When a dimension has fewer than `edgeOrder + 1` elements
   * @throws {TypeError} When the spacings do not fit the dimensions
   */
  gradient(options: NumericalGradientOptions = {}): Tensor[] {
    const { spacing = 1, edgeOrder = 1 } = options;
    const dims = options.dim === undefined || typeof options.dim === "number"
      ? reducedDims(options.dim, this.ndim, "differentiate")
      : options.dim.map((d) => normalizeDim(d, this.ndim, "differentiate"));
    if (typeof spacing !== "number" && spacing.length !== dims.length) {
      throw new TypeError(
        `Cannot differentiate along ${dims.length} dims with ${spacing.length} spacings`,
      );
    }
    const x = isFloat(this.dtype) ? this.self : wrap(castNode(this.node, "float32"));
    return dims.map((d, i) => {
      if (this.shape[d] <= edgeOrder) {
        throw new RangeError(
          `Cannot differentiate dim ${d} of ${shapeText(this.shape)}: it has ${
            this.shape[d]
          } elements and needs ${edgeOrder + 1}`,
        );
      }
      const step = typeof spacing === "number" ? spacing : spacing[i];
      const steps = typeof step === "number"
        ? step
        : step.diff().reshape(this.shape.map((s, j) => j === d ? s - 1 : 1));
      return derivative(x, d, steps, edgeOrder);
    });
  }

  /**
   * Integral along a dimension by trapezoids.
   * @throws {RangeError} When the dimension does not exist
   */
  trapezoid(options: TrapezoidOptions = {}): Tensor {
    const { areas, dim } = this.areas(options);
    return areas.sum(dim);
  }
  /** Running integral along a dimension by trapezoids: one element less than the values. */
  cumulativeTrapezoid(options: TrapezoidOptions = {}): Tensor {
    const { areas, dim } = this.areas(options);
    return areas.cumsum(dim);
  }
  /** Areas between neighbours, and the dimension counted from the end. */
  private areas(options: TrapezoidOptions): { areas: Tensor; dim: number } {
    const { x, dx = 1, dim = -1 } = options;
    const d = normalizeDim(dim, this.ndim, "integrate"), size = this.shape[d];
    const both = this.slice(d, 1).add(this.slice(d, 0, Math.max(0, size - 1)));
    if (x === undefined) return { areas: both.mul(dx / 2), dim: d - this.ndim };
    if (x.ndim === 1 && x.numel !== size) {
      throw new TypeError(
        `Cannot integrate dim ${dim} of ${shapeText(this.shape)} over ${x.numel} coordinates`,
      );
    }
    // One row of coordinates lies along the dimension; more have the shape of the values.
    const steps = x.ndim === 1
      ? x.diff().reshape(this.shape.map((s, i) => i === d ? s - 1 : 1))
      : x.diff(1, d - this.ndim);
    return { areas: both.mul(steps).mul(0.5), dim: d - this.ndim };
  }
}

/** Tensors one after the other; those that are undefined are left out. */
function joined(parts: readonly (Tensor | undefined)[], dim: number): Tensor {
  const list = parts.filter((p) => p !== undefined && p.shape[dim] !== 0) as Tensor[];
  if (list.length === 0) return parts.find((p) => p !== undefined)!;
  if (list.length === 1) return list[0];
  const [first] = list;
  const wrong = list.find((p) =>
    p.ndim !== first.ndim || p.dtype !== first.dtype || p.device !== first.device ||
    p.shape.some((s, d) => d !== dim && s !== first.shape[d])
  );
  if (wrong !== undefined) {
    throw new TypeError(`Cannot join ${wrong.describe()} to ${first.describe()} at dim ${dim}`);
  }
  let at = 0;
  const starts = list.map((p) => {
    const start = p.shape.map((_, d) => d === dim ? at : 0);
    at += p.shape[dim];
    return start;
  });
  const shape = first.shape.map((s, d) => d === dim ? at : s);
  return numel(shape) === 0 ? first : wrap(assembleNode(list.map((p) => p.node), starts, shape));
}

/** Derivative along one dimension; `steps` are the distances of neighbours. */
function derivative(x: Tensor, d: number, steps: number | Tensor, edgeOrder: 1 | 2): Tensor {
  const n = x.shape[d], at = (t: Tensor, from: number, to: number) => t.slice(d, from, to);
  const rise = at(x, 1, n).sub(at(x, 0, n - 1));
  // Slope of each gap; inside, the weighted mean of the slopes on both sides, which is exact for parabolas.
  const slope = rise.div(steps);
  const left = at(slope, 0, n - 2), right = at(slope, 1, n - 1);
  let inner: Tensor, first: Tensor, last: Tensor;
  if (typeof steps === "number") {
    inner = left.add(right).mul(0.5);
    first = edgeOrder === 1 ? at(slope, 0, 1) : extrapolated(at(slope, 0, 1), at(slope, 1, 2), 0.5);
    last = edgeOrder === 1
      ? at(slope, n - 2, n - 1)
      : extrapolated(at(slope, n - 2, n - 1), at(slope, n - 3, n - 2), 0.5);
  } else {
    const before = at(steps, 0, n - 2), after = at(steps, 1, n - 1), both = before.add(after);
    inner = left.mul(after).add(right.mul(before)).div(both);
    const share = (near: Tensor, far: Tensor) => near.div(near.add(far));
    first = edgeOrder === 1
      ? at(slope, 0, 1)
      : extrapolated(at(slope, 0, 1), at(slope, 1, 2), share(at(steps, 0, 1), at(steps, 1, 2)));
    last = edgeOrder === 1 ? at(slope, n - 2, n - 1) : extrapolated(
      at(slope, n - 2, n - 1),
      at(slope, n - 3, n - 2),
      share(at(steps, n - 2, n - 1), at(steps, n - 3, n - 2)),
    );
  }
  return joined([first, inner, last], d);
}

/** The slope at the outer end of a gap, from that gap's and the next one's. */
function extrapolated(near: Tensor, far: Tensor, share: number | Tensor): Tensor {
  return near.add(near.sub(far).mul(share));
}
