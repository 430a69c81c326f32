/** Indexing methods: elements at computed places. */
import { constNode, emptyNode, makeNode } from "../node.ts";
import { normalizeDim, shapeText } from "../shape.ts";
import { type Numeric, wrap } from "./base.ts";
import { MovementTensor } from "./movement.ts";
import type { Tensor } from "./tensor.ts";

/** Operations that read or write at indices held by another tensor. */
export abstract class IndexingTensor extends MovementTensor {
  /**
   * `out[i] = this[i with i[dim] = index[i]]`; index has as many dimensions and is no larger elsewhere.
   * @throws {TypeError} When ranks or dtypes do not fit
   */
  gather(dim: number, index: Tensor): Tensor {
    const d = normalizeDim(dim, Math.max(1, this.ndim), "gather");
    if (index.numel === 0) {
      return wrap(emptyNode(0, index.shape, this.dtype, this.device, [this.node]));
    }
    if (this.ndim === 0) return this.reshape(1).gather(d, line(index)).reshape(index.shape);
    this.checkIndex("gather", index, d);
    return wrap(
      makeNode("gather", { dim: d }, [this.node, index.node], index.shape, this.dtype, this.device),
    );
  }

  /** Rows (or slices along `dim`) at the places of a 1-D index. */
  indexSelect(dim: number, index: Tensor): Tensor {
    const d = normalizeDim(dim, Math.max(1, this.ndim), "select");
    if (this.ndim === 0) return this.reshape(1).indexSelect(d, index).reshape([]);
    if (index.ndim !== 1) {
      throw new TypeError(
        `Cannot select by an index of shape ${shapeText(index.shape)}: it must be 1-D`,
      );
    }
    const shape = this.shape.map((s, i) => i === d ? index.numel : s);
    return this.gather(d, index.reshape(shape.map((s, i) => i === d ? s : 1)).expand(shape));
  }

  /** A copy with `src[i]` added at `i with i[dim] = index[i]`; repeated places add up. */
  scatterAdd(dim: number, index: Tensor, src: Tensor): Tensor {
    const d = normalizeDim(dim, Math.max(1, this.ndim), "scatter");
    if (this.ndim === 0) {
      return this.reshape(1).scatterAdd(d, line(index), line(src)).reshape([]);
    }
    this.checkIndex("scatter into", index, d);
    if (index.shape.some((s, i) => s > src.shape[i]) || src.ndim !== index.ndim) {
      throw new TypeError(
        `Cannot scatter ${shapeText(src.shape)} by an index of shape ${
          shapeText(index.shape)
        }: it is larger`,
      );
    }
    if (src.dtype !== this.dtype) {
      throw new TypeError(`Cannot scatter ${src.dtype} into ${this.dtype}: dtypes must be equal`);
    }
    if (index.numel === 0) return untouched(this.self, src);
    const values = index.shape.reduce((t, s, i) => t.slice(i, 0, s), src);
    return wrap(
      makeNode(
        "scatter",
        { dim: d },
        [this.node, index.node, values.node],
        this.shape,
        this.dtype,
        this.device,
      ),
    );
  }

  /** An index must be an integer and within the sizes of the other dimensions. */
  private checkIndex(action: string, index: Tensor, dim: number): void {
    if (index.dtype !== "int32" && index.dtype !== "int64" && index.numel > 0) {
      throw new TypeError(`Cannot ${action} by a ${index.dtype} index: int32 or int64 is needed`);
    }
    const fits = index.ndim === this.ndim &&
      index.shape.every((s, d) => d === dim || s <= this.shape[d]);
    if (!fits) {
      throw new TypeError(
        `Cannot ${action} ${shapeText(this.shape)} along dim ${dim} by an index of shape ${
          shapeText(index.shape)
        }`,
      );
    }
    this.operand(index, action);
  }
}

/** A scalar as a list of one. */
const line = (x: Tensor): Tensor => x.ndim === 0 ? x.reshape(1) : x;

/** `base`, over which none of the values is written: they get zeros as a gradient. */
export function untouched(base: Tensor, values: Numeric): Tensor {
  if (typeof values === "number" || !values.requiresGrad) return base;
  const { shape, dtype, device } = values;
  return base.withGradient([base, values], (g) => [g, wrap(constNode(0, shape, dtype, device))]);
}
