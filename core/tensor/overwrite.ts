/** Copies with masked places or slices replaced, and changes in place. */
import { normalizeDim, sameShape, type Shape, shapeText } from "../shape.ts";
import { type Numeric, wrap } from "./base.ts";
import { FillTensor } from "./fill.ts";
import type { Index } from "./indexed.ts";
import { assembleNode } from "./movement.ts";
import { hostIndex, ramp } from "./ramp.ts";
import { routine } from "./routine.ts";
import { placed } from "./scatter.ts";
import type { Tensor } from "./tensor.ts";

/** Operations that replace elements by mask or range. */
export abstract class OverwriteTensor extends FillTensor {
  /**
   * A copy in which the true places of the mask hold the elements of `source` in order. The mask is broadcast.
   * @throws {RangeError} When computed: if the mask has more true places than `source` elements
   */
  maskedScatter(mask: Tensor, source: Tensor): Tensor {
    checkMask(mask, "scatter");
    if (source.dtype !== this.dtype) {
      throw new TypeError(
        `Cannot scatter ${source.dtype} into ${this.dtype}: dtypes must be equal`,
      );
    }
    const [self, where] = together(this.self, mask);
    if (self.numel === 0) return self;
    const ones = where.reshape(-1).to("int32");
    const order = routine("scan", { op: "sum" }, [ones], ones.shape, "int32").sub(1);
    const at = where.reshape(-1).where(order, 0);
    return where.where(source.reshape(-1).gather(0, at).reshape(self.shape), self);
  }

  /**
   * The elements where the mask is true, 1-D; both are broadcast. The mask is read to the host, since the size of the result depends on it.
   * @throws {TypeError} When the mask is not bool
   */
  maskedSelect(mask: Tensor): Tensor {
    checkMask(mask, "select");
    const [self, where] = together(this.self, mask);
    const hits: number[] = [];
    where.data().forEach((x, i) => {
      if (x) hits.push(i);
    });
    return self.reshape(-1).indexSelect(0, hostIndex(hits, this.device));
  }

  /**
   * A copy with `src` in place of `slice(dim, start, end, step)`.
   * @throws {TypeError} When `src` has not the shape of that slice
   */
  sliceScatter(src: Tensor, dim = 0, start = 0, end = Infinity, step = 1): Tensor {
    const d = normalizeDim(dim, this.ndim, "write a slice"), size = this.shape[d];
    const wanted = this.slice(d, start, end, step).shape;
    if (!sameShape(src.shape, wanted)) {
      throw new TypeError(
        `Cannot write ${shapeText(src.shape)} into a slice of shape ${shapeText(wanted)}`,
      );
    }
    const values = src.to(this.dtype), count = wanted[d];
    if (values.numel === 0) return this.self;
    const from = Math.min(Math.max(start < 0 ? start + size : start, 0), size);
    if (step > 1) {
      const offset = ramp(size, this.device).sub(from);
      const hit = offset.ge(0).logicalAnd(offset.remainder(step).eq(0)).logicalAnd(
        offset.lt(count * step),
      );
      return placed(this.self, d, hit.where(offset.floorDivide(step), -1), values);
    }
    const parts = [this.narrow(d, 0, from), values, this.slice(d, from + count)];
    const starts = [0, from, from + count].map((at) => this.shape.map((_, i) => i === d ? at : 0));
    const some = parts.map((_, i) => i).filter((i) => parts[i].numel > 0);
    return wrap(
      assembleNode(some.map((i) => parts[i].node), some.map((i) => starts[i]), this.shape),
    );
  }

  /** A copy with `src` in place of `select(dim, index)`. */
  selectScatter(src: Tensor, dim: number, index: number): Tensor {
    const d = normalizeDim(dim, this.ndim, "write"), size = this.shape[d];
    const i = index < 0 ? index + size : index;
    this.select(d, index);
    return this.sliceScatter(src.unsqueeze(d), d, i, i + 1);
  }

  /** Replaces the values in place. */
  abstract assign(value: Tensor): this;

  /** Writes a result over this tensor. */
  private overwrite(value: Tensor): this {
    if (value.requiresGrad) {
      throw new Error(
        "Cannot change a tensor in place by values that carry a gradient: it would be lost; use the form without _",
      );
    }
    return this.assign(value);
  }
  /** `maskedFill` in place, without gradients. */
  maskedFill_(mask: Tensor, value: Numeric): this {
    return this.overwrite(this.maskedFill(mask, value));
  }
  /** `maskedScatter` in place, without gradients. */
  maskedScatter_(mask: Tensor, source: Tensor): this {
    return this.overwrite(this.maskedScatter(mask, source));
  }
  /** `scatter` in place, without gradients. */
  scatter_(
    dim: number,
    index: Tensor,
    src: Numeric,
    options: { reduce?: "add" | "multiply" } = {},
  ): this {
    return this.overwrite(this.self.scatter(dim, index, src, options));
  }
  /** `scatterAdd` in place, without gradients. */
  scatterAdd_(dim: number, index: Tensor, src: Tensor): this {
    return this.overwrite(this.scatterAdd(dim, index, src));
  }
  /** `indexAdd` in place, without gradients. */
  indexAdd_(dim: number, index: Tensor, source: Tensor, options: { alpha?: number } = {}): this {
    return this.overwrite(this.self.indexAdd(dim, index, source, options));
  }
  /** `indexCopy` in place, without gradients. */
  indexCopy_(dim: number, index: Tensor, source: Tensor): this {
    return this.overwrite(this.self.indexCopy(dim, index, source));
  }
  /** `indexFill` in place, without gradients. */
  indexFill_(dim: number, index: Tensor, value: Numeric): this {
    return this.overwrite(this.self.indexFill(dim, index, value));
  }
  /** `indexPut` in place, without gradients: `x.indexPut_([0, {}], 1)` is Python's `x[0, :] = 1`. */
  indexPut_(
    items: readonly Index[],
    values: Tensor | number,
    options: { accumulate?: boolean } = {},
  ): this {
    return this.overwrite(this.indexPut(items, values, options));
  }
}

/** A tensor and a mask at their common shape. */
function together(x: Tensor, mask: Tensor): [Tensor, Tensor] {
  const rank = Math.max(x.ndim, mask.ndim);
  const size = (t: Tensor, d: number) => t.shape[d - rank + t.ndim] ?? 1;
  const shape: Shape = Array.from({ length: rank }, (_, d) => {
    const a = size(x, d), b = size(mask, d);
    return a === 1 ? b : a;
  });
  return [x.expand(shape), mask.expand(shape)];
}

function checkMask(mask: Tensor, action: string): void {
  if (mask.dtype !== "bool") {
    throw new TypeError(`Cannot ${action} by a ${mask.dtype} mask: it must be bool`);
  }
}
