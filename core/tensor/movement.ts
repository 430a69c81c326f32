/** Movement methods: views where possible, copies where not. */
import { emptyNode, makeNode, type Node, viewParts } from "../node.ts";
import {
  isContiguous,
  normalizeDim,
  normalizeDims,
  numel,
  reshapeStrides,
  resolveShape,
  sameShape,
  type Shape,
  shapeText,
} from "../shape.ts";
import { copyNode, expandNode, viewNode, wrap } from "./base.ts";
import { PointwiseTensor } from "./pointwise.ts";
import type { Tensor } from "./tensor.ts";

/** A shape or dimensions, as numbers or as one array. */
export type ShapeArgs = readonly number[] | readonly [Shape];

/** The sizes of either form. */
export const asShape = (args: ShapeArgs): Shape => Array.isArray(args[0]) ? args[0] : args as Shape;

/** Operations that move elements without changing them. */
export abstract class MovementTensor extends PointwiseTensor {
  /**
   * The same elements in row-major order under another shape; one size may be -1. Copies only when strides cannot express it.
   * @throws {TypeError} When the number of elements differs
   */
  reshape(...shape: ShapeArgs): Tensor {
    const to = resolveShape(this.shape, asShape(shape));
    const { offset, strides } = viewParts(this.node);
    const next = numel(to) === 0 ? to.map(() => 0) : reshapeStrides(this.shape, strides, to);
    if (next !== undefined) return this.viewed(to, offset, next, { kind: "reshape" });
    const copy = copyNode(this.node);
    return wrap(viewNode(copy, to, 0, reshapeStrides(copy.shape, viewParts(copy).strides, to)!, {
      kind: "reshape",
    }));
  }

  /**
   * Like {@linkcode MovementTensor.reshape}, but never copies.
   * @throws {TypeError} When the layout does not allow it
   */
  view(...shape: ShapeArgs): Tensor {
    const to = resolveShape(this.shape, asShape(shape));
    if (reshapeStrides(this.shape, viewParts(this.node).strides, to) === undefined) {
      throw new TypeError(
        `Cannot view ${shapeText(this.shape)} as ${
          shapeText(to)
        }: its strides do not allow it; use reshape`,
      );
    }
    return this.reshape(to);
  }

  /** Joins dimensions `start` to `end` into one. */
  flatten(start = 0, end = -1): Tensor {
    if (this.ndim === 0) return this.reshape(1);
    const a = normalizeDim(start, this.ndim, "flatten"),
      b = normalizeDim(end, this.ndim, "flatten");
    if (a > b) {
      throw new RangeError(
        `Cannot flatten dims ${start} to ${end}: the first comes after the last`,
      );
    }
    const joined = numel(this.shape.slice(a, b + 1));
    return this.reshape([...this.shape.slice(0, a), joined, ...this.shape.slice(b + 1)]);
  }

  /** Splits one dimension into several; one size may be -1. */
  unflatten(dim: number, sizes: Shape): Tensor {
    const d = normalizeDim(dim, this.ndim, "unflatten");
    const parts = resolveShape([this.shape[d]], sizes);
    return this.reshape([...this.shape.slice(0, d), ...parts, ...this.shape.slice(d + 1)]);
  }

  /** Reorders dimensions: `out.shape[i] = shape[dims[i]]`. */
  permute(...dims: ShapeArgs): Tensor {
    const list = asShape(dims).map((d) => normalizeDim(d, this.ndim, "permute"));
    if (list.length !== this.ndim || new Set(list).size !== this.ndim) {
      throw new TypeError(
        `Cannot permute ${shapeText(this.shape)} by ${
          shapeText(asShape(dims))
        }: each dim must be named once`,
      );
    }
    const { offset, strides } = viewParts(this.node);
    return this.viewed(list.map((d) => this.shape[d]), offset, list.map((d) => strides[d]), {
      kind: "permute",
      dims: list,
    });
  }

  /** Exchanges two dimensions. */
  transpose(a: number, b: number): Tensor {
    if (this.ndim === 0) {
      for (const d of [a, b]) normalizeDim(d, 1, "transpose");
      return this.self;
    }
    const i = normalizeDim(a, this.ndim, "transpose"), j = normalizeDim(b, this.ndim, "transpose");
    const dims = this.shape.map((_, d) => d === i ? j : d === j ? i : d);
    return this.permute(dims);
  }

  /** The last two dimensions exchanged. */
  get mT(): Tensor {
    return this.transpose(-2, -1);
  }

  /** A matrix transposed. */
  t(): Tensor {
    if (this.ndim > 2) {
      throw new TypeError(
        `Cannot transpose ${shapeText(this.shape)} with t(): it has more than 2 dimensions`,
      );
    }
    return this.ndim < 2 ? this.self : this.transpose(0, 1);
  }

  /**
   * Repeats dimensions of size 1 without copying; -1 keeps a size.
   * @throws {TypeError} When a dimension of another size would change
   */
  expand(...shape: ShapeArgs): Tensor {
    const asked = asShape(shape), lead = asked.length - this.ndim;
    const to = asked.map((s, d) => s === -1 && d >= lead ? this.shape[d - lead] : s);
    const fits = lead >= 0 && this.shape.every((s, d) => s === to[d + lead] || s === 1);
    if (!fits || to.some((s) => s < 0)) {
      throw new TypeError(
        `Cannot expand ${shapeText(this.shape)} to ${shapeText(asked)}: only sizes of 1 can grow`,
      );
    }
    return wrap(expandNode(this.node, to));
  }

  /** This tensor expanded to the shape of another. */
  expandAs(other: Tensor): Tensor {
    return this.expand(other.shape);
  }

  /** Alias of {@linkcode MovementTensor.expand}. */
  broadcastTo(...shape: ShapeArgs): Tensor {
    return this.expand(...shape);
  }

  /** Drops dimension `dim` (or each of several) when its size is 1, or every dimension of size 1. */
  squeeze(dim?: number | Shape): Tensor {
    // A scalar may name its missing dimension, as everywhere in PyTorch.
    const list = normalizeDims(
      dim,
      dim === undefined ? this.ndim : Math.max(1, this.ndim),
      "squeeze",
    );
    const shape = this.shape.filter((s, d) => s !== 1 || !list.includes(d));
    return shape.length === this.ndim ? this.self : this.reshape(shape);
  }

  /** Puts a dimension of size 1 at `dim`. */
  unsqueeze(dim: number): Tensor {
    const d = normalizeDim(dim, this.ndim + 1, "unsqueeze");
    return this.reshape([...this.shape.slice(0, d), 1, ...this.shape.slice(d)]);
  }

  /** `length` elements of a dimension from `start`. */
  narrow(dim: number, start: number, length: number): Tensor {
    const d = normalizeDim(dim, this.ndim, "narrow"), size = this.shape[d];
    const from = start < 0 ? start + size : start;
    if (!Number.isInteger(length) || from < 0 || length < 0 || from + length > size) {
      throw new RangeError(
        `Cannot narrow dim ${dim} of ${
          shapeText(this.shape)
        } to ${length} from ${start}: it has ${size}`,
      );
    }
    return this.slice(d, from, from + length);
  }

  /** Elements `start, start + step, ...` below `end` of a dimension; negative bounds count from the end. */
  slice(dim: number, start = 0, end = Infinity, step = 1): Tensor {
    const d = normalizeDim(dim, this.ndim, "slice"), size = this.shape[d];
    if ([start, end].some((x) => Number.isFinite(x) && !Number.isInteger(x))) {
      throw new RangeError(`Cannot slice from ${start} to ${end}: bounds are whole numbers`);
    }
    if (!Number.isInteger(step) || step < 1) {
      throw new RangeError(
        `Cannot slice with step ${step}: it must be 1 or more; use flip to reverse`,
      );
    }
    const bound = (x: number) => Math.min(Math.max(x < 0 ? x + size : x, 0), size);
    const from = bound(start), to = Math.max(bound(end), from);
    const length = Math.ceil((to - from) / step);
    if (from === 0 && length === size) return this.self;
    const { offset, strides } = viewParts(this.node);
    const shape = this.shape.map((s, i) => i === d ? length : s);
    return this.viewed(
      shape,
      offset + from * strides[d],
      strides.map((s, i) => i === d ? s * step : s),
      {
        kind: "slice",
        starts: shape.map((_, i) => i === d ? from : 0),
        steps: shape.map((_, i) => i === d ? step : 1),
      },
    );
  }

  /** Element `index` of a dimension, which goes away. */
  select(dim: number, index: number): Tensor {
    const d = normalizeDim(dim, this.ndim, "select"), size = this.shape[d];
    const i = index < 0 ? index + size : index;
    if (!Number.isInteger(index) || i < 0 || i >= size) {
      throw new RangeError(`Cannot select ${index} of dim ${dim}: it has ${size} elements`);
    }
    return this.slice(d, i, i + 1).squeeze(d);
  }

  /** Reverses the order along dimensions. */
  flip(...dims: ShapeArgs): Tensor {
    const list = normalizeDims(asShape(dims), this.ndim, "flip");
    if (this.numel === 0) return this.self;
    const { offset, strides } = viewParts(this.node);
    const start = list.reduce((at, d) => at + (this.shape[d] - 1) * strides[d], offset);
    return this.viewed(this.shape, start, strides.map((s, d) => list.includes(d) ? -s : s), {
      kind: "flip",
      dims: list,
    });
  }

  /** This tensor in row-major order: itself, or a copy. */
  contiguous(): Tensor {
    return isContiguous(this.shape, viewParts(this.node).strides)
      ? this.self
      : wrap(copyNode(this.node));
  }

  /**
   * Adds `[before, after]` elements of `value` around dimensions, flat, last dimension first, as PyTorch orders them; negative widths cut.
   * @throws {TypeError} When the widths are odd in number or too many
   */
  pad(widths: readonly number[], value = 0): Tensor {
    if (widths.length % 2 !== 0 || widths.length > 2 * this.ndim) {
      throw new TypeError(
        `Cannot pad ${shapeText(this.shape)} by ${
          shapeText(widths)
        }: give two widths for each dim, last dim first`,
      );
    }
    let core = this.self;
    const starts = this.shape.map(() => 0), shape = [...this.shape];
    for (let i = 0; i < widths.length; i += 2) {
      const d = this.ndim - 1 - i / 2, [before, after] = [widths[i], widths[i + 1]];
      if (Math.max(0, -before) + Math.max(0, -after) > this.shape[d]) {
        throw new RangeError(
          `Cannot pad dim ${d} of ${
            shapeText(this.shape)
          } by ${before} and ${after}: that cuts more than it has`,
        );
      }
      core = core.slice(d, Math.max(0, -before), core.shape[d] - Math.max(0, -after));
      starts[d] = Math.max(0, before);
      shape[d] = core.shape[d] + Math.max(0, before) + Math.max(0, after);
    }
    return sameShape(shape, core.shape)
      ? core
      : wrap(assembleNode([core.node], [starts], shape, value));
  }
}

/** Parts laid into one node at their starts, `fill` elsewhere. */
export function assembleNode(
  parts: readonly Node[],
  starts: readonly Shape[],
  shape: Shape,
  fill = 0,
): Node {
  const { dtype, device } = parts[0];
  if (numel(shape) === 0 || parts.every((p) => numel(p.shape) === 0)) {
    return emptyNode(numel(shape) === 0 ? 0 : fill, shape, dtype, device, parts);
  }
  return makeNode("assemble", { starts, fill }, parts, shape, dtype, device);
}
