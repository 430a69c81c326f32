/** Movement methods beyond the basic views. */
import { normalizeDim, type Shape, shapeText } from "../shape.ts";
import { viewParts } from "../node.ts";
import { wrap } from "./base.ts";
import { assembleNode, asShape, type ShapeArgs } from "./movement.ts";
import { PiecesTensor } from "./pieces.ts";
import type { Tensor } from "./tensor.ts";

/** Reordered, turned and windowed tensors. */
export abstract class ArrangeTensor extends PiecesTensor {
  /** The dimensions in reverse order. */
  get T(): Tensor {
    return this.permute(this.shape.map((_, d) => this.ndim - 1 - d));
  }
  /** A matrix transposed; of real numbers the same as {@linkcode ArrangeTensor.T}. */
  get H(): Tensor {
    return this.t();
  }
  /** The last two dimensions exchanged; of real numbers the same as `mT`. */
  get mH(): Tensor {
    return this.mT;
  }

  /** All elements in row-major order. */
  ravel(): Tensor {
    return this.reshape(-1);
  }
  /** This tensor under the shape of another. */
  reshapeAs(other: Tensor): Tensor {
    return this.reshape(other.shape);
  }
  /** A view under the shape of another. */
  viewAs(other: Tensor): Tensor {
    return this.view(other.shape);
  }

  /**
   * Sums over the dimensions in which `shape` is smaller, so that the result has that shape: what undoes a broadcast.
   * @throws {TypeError} When `shape` does not broadcast to that of this tensor
   */
  sumToSize(...shape: ShapeArgs): Tensor {
    const to = asShape(shape), lead = this.ndim - to.length;
    if (lead < 0 || to.some((s, d) => s !== 1 && s !== this.shape[d + lead])) {
      throw new TypeError(
        `Cannot sum ${shapeText(this.shape)} to ${shapeText(to)}: it does not broadcast to that`,
      );
    }
    const dims = this.shape.flatMap((s, d) =>
      d < lead || (to[d - lead] === 1 && s !== 1) ? [d] : []
    );
    return dims.length === 0 ? this.self : this.sum(dims, true).reshape(to);
  }

  /** Puts dimensions `source` at the places `destination`; the others keep their order. */
  movedim(source: number | Shape, destination: number | Shape): Tensor {
    const list = (x: number | Shape): number[] =>
      (typeof x === "number" ? [x] : [...x]).map((d) =>
        this.ndim === 0 ? normalizeDim(d, 1, "move") : normalizeDim(d, this.ndim, "move")
      );
    const from = list(source), to = list(destination);
    const distinct = (x: readonly number[]) => new Set(x).size === x.length;
    if (from.length !== to.length || !distinct(from) || !distinct(to)) {
      throw new RangeError(
        `Cannot move dims ${shapeText(from)} to ${
          shapeText(to)
        }: each dim and each place must be named once`,
      );
    }
    if (this.ndim === 0) return this.self;
    const rest = this.shape.map((_, d) => d).filter((d) => !from.includes(d));
    const order = this.shape.map((_, d) => {
      const at = to.indexOf(d);
      return at < 0 ? -1 : from[at];
    });
    return this.permute(order.map((d) => d < 0 ? rest.shift()! : d));
  }
  /** Alias of {@linkcode ArrangeTensor.movedim}. */
  moveaxis(source: number | Shape, destination: number | Shape): Tensor {
    return this.movedim(source, destination);
  }
  /** Alias of `transpose`. */
  swapaxes(a: number, b: number): Tensor {
    return this.transpose(a, b);
  }
  /** Alias of `transpose`. */
  swapdims(a: number, b: number): Tensor {
    return this.transpose(a, b);
  }

  /**
   * Shifts elements along dimensions; those that fall off the end come back at the start. Without `dims` the flattened tensor is rolled.
   * @throws {TypeError} When there are not as many shifts as dimensions
   */
  roll(shifts: number | Shape, dims?: number | Shape): Tensor {
    const by = typeof shifts === "number" ? [shifts] : shifts;
    const over = dims === undefined ? [] : typeof dims === "number" ? [dims] : dims;
    if (over.length === 0) {
      if (by.length !== 1) {
        throw new TypeError(`Cannot roll by ${shapeText(by)}: name as many dims as shifts`);
      }
      return this.reshape(-1).roll(by, 0).reshape(this.shape);
    }
    if (by.length !== over.length) {
      throw new TypeError(
        `Cannot roll dims ${shapeText(over)} by ${shapeText(by)}: name as many dims as shifts`,
      );
    }
    return over.reduce((t, dim, i) => rolled(t, by[i], dim), this.self);
  }

  /** Turns by 90 degrees `k` times in the plane of two dimensions, from the first towards the second. */
  rot90(k = 1, dims: readonly [number, number] = [0, 1]): Tensor {
    const [a, b] = dims.map((d) => normalizeDim(d, this.ndim, "turn"));
    if (a === b || dims.length !== 2) {
      throw new RangeError(
        `Cannot turn in the plane of dims ${shapeText(dims)}: two different ones are needed`,
      );
    }
    const turns: readonly (() => Tensor)[] = [
      () => this.self,
      () => this.flip(b).transpose(a, b),
      () => this.flip(a, b),
      () => this.flip(a).transpose(a, b),
    ];
    return turns[((k % 4) + 4) % 4]();
  }

  /** The columns (dimension 1) in reverse order. */
  fliplr(): Tensor {
    return this.flip(1);
  }
  /** The rows (dimension 0) in reverse order. */
  flipud(): Tensor {
    return this.flip(0);
  }

  /**
   * Windows of `size` elements of a dimension, one every `step`: a view in which the dimension counts the windows and a new last dimension
   * the places in one.
   *
   * @param dim Which dimension
   * @param size Elements of a window
   * @param step Distance between the starts of two windows
   * @throws {RangeError} When a window is larger than the dimension or the step is below 1
   */
  unfold(dim: number, size: number, step: number): Tensor {
    if (this.ndim === 0) return this.reshape(1).unfold(dim, size, step).squeeze(0);
    const d = normalizeDim(dim, this.ndim, "unfold"), length = this.shape[d];
    if (!Number.isInteger(size) || size < 0 || size > length) {
      throw new RangeError(
        `Cannot unfold dim ${dim} of ${
          shapeText(this.shape)
        } into windows of ${size}: it has ${length}`,
      );
    }
    if (!Number.isInteger(step) || step < 1) {
      throw new RangeError(`Cannot unfold with step ${step}: it must be 1 or more`);
    }
    const { offset, strides } = viewParts(this.node);
    const count = Math.floor((length - size) / step) + 1;
    return this.viewed(
      [...this.shape.map((s, i) => i === d ? count : s), size],
      offset,
      [...strides.map((s, i) => i === d ? s * step : s), strides[d]],
      { kind: "unfold", dim: d, step },
    );
  }

  /**
   * Coordinates, in a tensor of the given shape, of flat indices: one int64 tensor for each dimension.
   * @throws {TypeError} When this is no integer tensor
   */
  unravelIndex(shape: number | Shape): Tensor[] {
    if (this.dtype !== "int32" && this.dtype !== "int64") {
      throw new TypeError(`Cannot unravel a ${this.dtype} index: int32 or int64 is needed`);
    }
    const sizes = typeof shape === "number" ? [shape] : shape;
    let rest = this.self.to("int64");
    const out: Tensor[] = [];
    for (let d = sizes.length - 1; d >= 0; d--) {
      // No int64 reaches past a size beyond its range, which would wrap if it were converted.
      const within = sizes[d] >= 2 ** 63;
      out.unshift(within ? rest : rest.remainder(sizes[d]));
      rest = within ? rest.mul(0) : rest.floorDivide(sizes[d]);
    }
    return out;
  }
}

/** One dimension rolled. */
function rolled(x: Tensor, shift: number, dim: number): Tensor {
  const d = x.ndim === 0 ? normalizeDim(dim, 1, "roll") : normalizeDim(dim, x.ndim, "roll");
  const size = x.shape[d] ?? 1;
  if (!Number.isInteger(shift)) throw new RangeError(`Cannot roll by ${shift}: whole numbers only`);
  const by = size === 0 ? 0 : ((shift % size) + size) % size;
  if (by === 0) return x;
  const parts = [x.narrow(d, size - by, by), x.narrow(d, 0, size - by)];
  const starts = [0, by].map((at) => x.shape.map((_, i) => i === d ? at : 0));
  return wrap(assembleNode(parts.map((t) => t.node), starts, x.shape));
}
