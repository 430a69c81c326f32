/** Tensors cut into pieces along a dimension, and repeated. */
import { normalizeDim, type Shape, shapeText } from "../shape.ts";
import { asShape, type ShapeArgs } from "./movement.ts";
import { hostIndex } from "./ramp.ts";
import { SortingTensor } from "./sorting.ts";
import type { Tensor } from "./tensor.ts";

/** Operations that cut a tensor into several, or lay it beside itself. Pieces are views. */
export abstract class PiecesTensor extends SortingTensor {
  /** At most `chunks` equal pieces along a dimension; the last may be smaller. */
  chunk(chunks: number, dim = 0): Tensor[] {
    const d = normalizeDim(dim, this.ndim, "chunk"), size = this.shape[d];
    if (!Number.isInteger(chunks) || chunks < 1) {
      throw new RangeError(`Cannot chunk into ${chunks} pieces: at least 1 is needed`);
    }
    if (size === 0) return this.split(new Array<number>(chunks).fill(0), d);
    return this.split(Math.ceil(size / chunks), d);
  }

  /** Pieces of the given size (the last may be smaller) or sizes along a dimension. */
  split(sizes: number | Shape, dim = 0): Tensor[] {
    const d = normalizeDim(dim, this.ndim, "split"), total = this.shape[d];
    if (typeof sizes === "number" && (!Number.isInteger(sizes) || sizes < 1)) {
      throw new RangeError(`Cannot split into pieces of ${sizes}: a size of at least 1 is needed`);
    }
    const list = typeof sizes === "number"
      ? Array.from(
        { length: Math.max(1, Math.ceil(total / sizes)) },
        (_, i) => Math.min(sizes, total - i * sizes),
      )
      : sizes;
    if (list.reduce((a, b) => a + b, 0) !== total) {
      throw new RangeError(
        `Cannot split dim ${dim} of ${shapeText(this.shape)} into ${
          shapeText(list)
        }: the sizes must add up to ${total}`,
      );
    }
    let at = 0;
    return list.map((length) => this.narrow(d, (at += length) - length, length));
  }

  /** Pieces of the given sizes along a dimension. */
  splitWithSizes(sizes: Shape, dim = 0): Tensor[] {
    return this.split(sizes, dim);
  }

  /**
   * `sections` pieces along a dimension whose sizes differ by at most one, the larger first; or the pieces between the given places, as NumPy's
   * `array_split` does.
   * @throws {RangeError} When there are fewer sections than one
   */
  tensorSplit(sections: number | Shape, dim = 0): Tensor[] {
    const d = normalizeDim(dim, this.ndim, "split"), total = this.shape[d];
    if (typeof sections !== "number") {
      const bounds = [0, ...sections, total];
      return bounds.slice(1).map((end, i) =>
        this.slice(d, bounds[i], i === sections.length ? Infinity : end)
      );
    }
    if (!Number.isInteger(sections) || sections < 1) {
      throw new RangeError(`Cannot split into ${sections} sections: at least 1 is needed`);
    }
    const small = Math.floor(total / sections), large = total % sections;
    return this.split(
      Array.from({ length: sections }, (_, i) => i < large ? small + 1 : small),
      d,
    );
  }

  /** {@linkcode PiecesTensor.tensorSplit} along one of the first dimensions, into equal sections. */
  private evenly(name: string, sections: number | Shape, dim: number, least: number): Tensor[] {
    if (this.ndim < least) {
      throw new TypeError(
        `Cannot ${name} ${shapeText(this.shape)}: at least ${least} dimension${
          least === 1 ? " is" : "s are"
        } needed`,
      );
    }
    if (typeof sections === "number" && this.shape[dim] % sections !== 0) {
      throw new RangeError(
        `Cannot ${name} ${shapeText(this.shape)} into ${sections} sections: the size ${
          this.shape[dim]
        } is no multiple`,
      );
    }
    return this.tensorSplit(sections, dim);
  }

  /** Equal sections, or the pieces between places, of columns (of elements, in 1-D). */
  hsplit(sections: number | Shape): Tensor[] {
    return this.evenly("hsplit", sections, this.ndim > 1 ? 1 : 0, 1);
  }
  /** Equal sections, or the pieces between places, of rows. */
  vsplit(sections: number | Shape): Tensor[] {
    return this.evenly("vsplit", sections, 0, 2);
  }
  /** Equal sections, or the pieces between places, of the third dimension. */
  dsplit(sections: number | Shape): Tensor[] {
    return this.evenly("dsplit", sections, 2, 3);
  }

  /** Every element of a dimension, which goes away. */
  unbind(dim = 0): Tensor[] {
    const d = normalizeDim(dim, this.ndim, "unbind");
    return Array.from({ length: this.shape[d] }, (_, i) => this.select(d, i));
  }

  /** `count[d]` copies side by side along each dimension; new dimensions come first. */
  repeat(...counts: ShapeArgs): Tensor {
    const list = asShape(counts), lead = list.length - this.ndim;
    if (lead < 0 || list.some((n) => !Number.isInteger(n) || n < 0)) {
      throw new TypeError(
        `Cannot repeat ${shapeText(this.shape)} by ${shapeText(list)}: give a count for each dim`,
      );
    }
    const shape = [...new Array<number>(lead).fill(1), ...this.shape];
    const wide = shape.flatMap((s, d) => [list[d], s]);
    return this.reshape(shape.flatMap((s) => [1, s])).expand(wide).reshape(
      shape.map((s, d) => s * list[d]),
    );
  }

  /** Like {@linkcode PiecesTensor.repeat}, but missing leading counts are 1. */
  tile(...counts: ShapeArgs): Tensor {
    const list = asShape(counts);
    return this.repeat([
      ...new Array<number>(Math.max(0, this.ndim - list.length)).fill(1),
      ...list,
    ]);
  }

  /**
   * Each element of a dimension `repeats` times in a row; without `dim`, of the flattened tensor. Counts held by a tensor are read to the host,
   * since the size of the result depends on them.
   * @param repeats One count, or an integer tensor with one for each element
   * @throws {TypeError} When the counts are no integers or not as many as elements
   */
  repeatInterleave(repeats: number | Tensor, dim?: number): Tensor {
    if (dim === undefined) return this.reshape(-1).repeatInterleave(repeats, 0);
    const d = normalizeDim(dim, this.ndim, "repeat"), size = this.shape[d];
    if (typeof repeats === "number") {
      if (!Number.isInteger(repeats) || repeats < 0) {
        throw new RangeError(`Cannot repeat ${repeats} times: a count is whole and not negative`);
      }
      const wide = [...this.shape.slice(0, d + 1), repeats, ...this.shape.slice(d + 1)];
      return this.unsqueeze(d + 1).expand(wide).reshape(
        this.shape.map((s, i) => i === d ? s * repeats : s),
      );
    }
    const counts = Array.from(repeats.data() as ArrayLike<number | bigint>, Number);
    if (counts.length === 1) return this.repeatInterleave(counts[0], d);
    if (
      counts.length !== size || repeats.ndim !== 1 ||
      (repeats.dtype !== "int32" && repeats.dtype !== "int64")
    ) {
      throw new TypeError(
        `Cannot repeat dim ${dim} of ${
          shapeText(this.shape)
        } by ${repeats.describe()}: ${size} integers are needed`,
      );
    }
    if (counts.some((n) => n < 0)) {
      throw new RangeError("Cannot repeat: a count is negative");
    }
    const places = counts.flatMap((n, i) => new Array<number>(n).fill(i));
    return this.indexSelect(d, hostIndex(places, this.device));
  }
}
